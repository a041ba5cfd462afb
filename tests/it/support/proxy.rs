//! A way to the database that can be cut.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections until it is cut.
pub(crate) struct Proxy {
    is_cut: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// A proxy to the host and port of a `postgres://` address; gives the address through it.
    pub(crate) async fn to(database: &str) -> (Self, String) {
        let (before, rest) = database.split_once('@').expect("a user");
        let (target, name) = rest.split_once('/').expect("a database");
        let target = target.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let is_cut = Arc::new(watch::Sender::new(false));
        let through = format!("{before}@{address}/{name}");
        let cut = Arc::clone(&is_cut);
        #[expect(clippy::disallowed_methods, reason = "it lives as long as the test")]
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *cut.borrow() {
                    continue;
                }
                #[expect(clippy::disallowed_methods, reason = "it lives as long as the test")]
                tokio::spawn(forward(client, target.clone(), cut.subscribe()));
            }
        });
        (Self { is_cut }, through)
    }

    /// Cuts every connection, and those to come.
    pub(crate) fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn forward(mut client: TcpStream, target: String, mut is_cut: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(&target).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = is_cut.wait_for(|is_cut| *is_cut) => {}
    }
}
