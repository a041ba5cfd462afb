//! Messages that other services sign: GitHub, Gitea and Asana with an HMAC over the raw body, GitLab
//! with the secret itself.

use ring::hmac;

/// What a message brings to prove where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// An HMAC with SHA-256 over its body.
    Signature(Vec<u8>),
    /// The secret.
    Token(String),
}

/// Checks the proof of one message, piece by piece.
pub struct Check {
    proof: Proof,
    secret: String,
    key: hmac::Key,
    body: hmac::Context,
}

impl Proof {
    /// The proof in the headers of a message of a git host; `header` gives one by its name.
    pub fn of<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let signature = |text: &str| unhex(text.trim()).map(Self::Signature);
        let github = || signature(header("x-hub-signature-256")?.strip_prefix("sha256=")?);
        let gitea = || signature(header("x-gitea-signature")?);
        let gitlab = || Some(Self::Token(header("x-gitlab-token")?.to_owned()));
        github().or_else(gitea).or_else(gitlab)
    }

    /// The same of a message of Asana.
    pub fn of_asana<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        unhex(header("x-hook-signature")?.trim()).map(Self::Signature)
    }
}

impl Check {
    /// Begins to check a message against the secret it should be signed with.
    #[must_use]
    pub fn new(proof: Proof, secret: String) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Self { proof, secret, body: hmac::Context::with_key(&key), key }
    }

    /// Takes the next bytes of its body.
    pub fn update(&mut self, bytes: &[u8]) {
        self.body.update(bytes);
    }

    /// Whether the message comes from where it says.
    #[must_use]
    pub fn is_right(self) -> bool {
        // How long it takes says nothing of where they differ.
        let is_equal = |one: &[u8], other: &[u8]| {
            hmac::verify(&self.key, one, hmac::sign(&self.key, other).as_ref()).is_ok()
        };
        match self.proof {
            Proof::Signature(signature) => is_equal(self.body.sign().as_ref(), &signature),
            Proof::Token(token) => is_equal(self.secret.as_bytes(), token.as_bytes()),
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) || text.len() > 128 {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(name: &'static str, value: &'static str) -> Option<Proof> {
        Proof::of(|asked| (asked == name).then_some(value))
    }

    fn is_right(proof: Option<Proof>, body: &[u8]) -> bool {
        let mut check =
            Check::new(proof.expect("a proof"), "It's a Secret to Everybody".to_owned());
        for piece in body.chunks(5) {
            check.update(piece);
        }
        check.is_right()
    }

    /// The example of GitHub's documentation.
    const SIGNATURE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn who_signs_with_the_secret_is_believed() {
        let github =
            concat!("sha256=", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
        assert!(is_right(proof("x-hub-signature-256", github), b"Hello, World!"));
        assert!(is_right(proof("x-gitea-signature", SIGNATURE), b"Hello, World!"));
        assert!(!is_right(proof("x-gitea-signature", SIGNATURE), b"Hello, World?"));
        assert!(is_right(proof("x-gitlab-token", "It's a Secret to Everybody"), b"anything"));
        assert!(!is_right(proof("x-gitlab-token", "It's a Secret"), b"anything"));
        assert!(!is_right(proof("x-gitea-signature", "00"), b"Hello, World!"));
        let asana = |name: &str| (name == "x-hook-signature").then_some(SIGNATURE);
        assert!(is_right(Proof::of_asana(asana), b"Hello, World!"));
        assert!(!is_right(Proof::of_asana(asana), b"Hello, World?"));
        assert_eq!(Proof::of(asana), None);
    }

    #[test]
    fn what_is_no_proof_is_none() {
        for (name, value) in [
            ("x-hub-signature-256", SIGNATURE),
            ("x-hub-signature-256", "sha256=xyz"),
            ("x-gitea-signature", "abc"),
            ("x-gitea-signature", "é0"),
            ("x-hub-signature", "sha1=abcd"),
        ] {
            assert_eq!(proof(name, value), None, "{name}: {value}");
        }
    }
}
