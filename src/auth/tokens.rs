//! API tokens: made, checked, revoked.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::id::ProjectId;
use crate::domain::time::Timestamp;
use crate::domain::token::{Scope, Token};
use crate::store::{Store, StoreError};

/// What every secret begins with, so that people and scanners recognise one.
const SECRET_PREFIX: &str = "airlock_";

/// The shortest bootstrap token, in characters.
pub const LEAST_BOOTSTRAP_CHARS: usize = 20;

/// The use of a token is noted at most this often.
const TOUCH_EVERY: Duration = Duration::from_mins(1);

/// Noting the use of a token may keep a request waiting for this long.
const TOUCH_PATIENCE: Duration = Duration::from_secs(1);

/// A token looked up is believed for this long: what is revoked on another node ends here then.
const BELIEVED_FOR: Duration = Duration::from_secs(5);

/// Tokens remembered at most.
const MOST_REMEMBERED: usize = 10_000;

/// Who is asking.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The token.
    pub token: Token,
}

impl Identity {
    /// The name under which its acts are noted.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.token.name
    }
}

/// All API tokens.
#[derive(Debug, Clone)]
pub struct Tokens {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    bootstrap: Option<[u8; 32]>,
    remembered: Mutex<HashMap<[u8; 32], Remembered>>,
}

#[derive(Debug, Clone)]
struct Remembered {
    token: Token,
    looked_at: Timestamp,
    touched_at: Option<Timestamp>,
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

impl Tokens {
    /// The tokens of a store; `bootstrap` is one more, with every scope.
    #[must_use]
    pub fn new(store: Store, clock: Clock, bootstrap: Option<&str>) -> Self {
        let inner = Inner {
            store,
            clock,
            bootstrap: bootstrap.map(hash),
            remembered: Mutex::new(HashMap::new()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Who a secret belongs to; `None` when it is no valid token.
    ///
    /// # Errors
    /// [`StoreError`] when the store is needed and away.
    pub async fn identify(&self, secret: &str) -> Result<Option<Identity>, StoreError> {
        let now = self.inner.clock.now();
        let hash = hash(secret);
        if self.inner.bootstrap == Some(hash) {
            return Ok(Some(Identity { token: every_scope(Uuid::nil(), "bootstrap", now) }));
        }
        let remembered = self.remembered(&hash, now);
        let found = match remembered {
            Some(found) => found,
            None => match self.inner.store.read().await?.find_token(&hash).await? {
                Some(token) => {
                    let touched_at = token.last_used_at;
                    Remembered { token, looked_at: now, touched_at }
                }
                None => return Ok(None),
            },
        };
        if found.token.is_expired(now) {
            return Ok(None);
        }
        let found = self.touch(found, now).await;
        let token = found.token.clone();
        self.remember(hash, found);
        Ok(Some(Identity { token }))
    }

    fn remembered(&self, hash: &[u8; 32], now: Timestamp) -> Option<Remembered> {
        let remembered = self.inner.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(hash).filter(|found| now.since(found.looked_at) < BELIEVED_FOR).cloned()
    }

    fn remember(&self, hash: [u8; 32], found: Remembered) {
        let mut remembered = self.inner.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(hash, found);
    }

    /// Notes the use in the store, at most once a minute. Not being able to costs nobody anything.
    async fn touch(&self, mut found: Remembered, now: Timestamp) -> Remembered {
        if found.touched_at.is_some_and(|at| now.since(at) < TOUCH_EVERY) {
            return found;
        }
        found.touched_at = Some(now);
        let noted = async {
            let mut tx = self.inner.store.write().await?;
            tx.touch_token(found.token.id, now).await?;
            tx.commit().await
        };
        match tokio::time::timeout(TOUCH_PATIENCE, noted).await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => tracing::warn!(%cause, "cannot note the use of a token"),
            Err(_) => tracing::warn!("the store is too busy to note the use of a token"),
        }
        found
    }

    /// Makes a token; gives it with its secret, which nobody can see again.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn create(&self, token: Token) -> Result<(Token, String), StoreError> {
        let secret = self.secret();
        let mut tx = self.inner.store.write().await?;
        tx.insert_token(&token, &hash(&secret)).await?;
        tx.commit().await?;
        Ok((token, secret))
    }

    /// A description of a token that is to be made.
    #[must_use]
    pub fn describe(
        &self,
        name: String,
        scopes: BTreeSet<Scope>,
        projects: Option<BTreeSet<ProjectId>>,
        expires_at: Option<Timestamp>,
    ) -> Token {
        let clock = &self.inner.clock;
        let (id, created_at) = (clock.id(), clock.now());
        Token { id, name, scopes, projects, created_at, expires_at, last_used_at: None }
    }

    /// Revokes a token; says whether there was one.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn revoke(&self, id: Uuid) -> Result<bool, StoreError> {
        let mut tx = self.inner.store.write().await?;
        let is_gone = tx.delete_token(id).await?;
        tx.commit().await?;
        let mut remembered = self.inner.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|_, found| found.token.id != id);
        Ok(is_gone)
    }

    /// A new secret: 192 random bits in hex behind `airlock_`.
    #[must_use]
    pub fn secret(&self) -> String {
        let bytes: [u8; 24] = self.inner.clock.random();
        bytes.iter().fold(SECRET_PREFIX.to_owned(), |secret, byte| format!("{secret}{byte:02x}"))
    }

    /// On the very first start of an installation makes its administrator's token from `secret`;
    /// says whether this was it.
    ///
    /// # Errors
    /// [`StoreError`] of the database.
    pub async fn create_first(&self, secret: &str) -> Result<bool, StoreError> {
        let now = self.inner.clock.now();
        let mut tx = self.inner.store.write().await?;
        if !tx.insert_once("first_token", now).await? {
            return Ok(false);
        }
        let token = every_scope(self.inner.clock.id(), "admin.token", now);
        tx.insert_token(&token, &hash(secret)).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn every_scope(id: Uuid, name: &str, now: Timestamp) -> Token {
    Token {
        id,
        name: name.to_owned(),
        scopes: Scope::ALL.into_iter().collect(),
        projects: None,
        created_at: now,
        expires_at: None,
        last_used_at: None,
    }
}
