//! The reference: the same HTTP stack, which decodes and parses every report and stores nothing.

use std::io::Read as _;

use actix_web::web::{Bytes, PayloadConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use crate::Failure;

/// Serves until it is killed; prints its address.
pub(crate) fn run() -> Result<(), Failure> {
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(|| {
            App::new().app_data(PayloadConfig::new(1 << 26)).default_service(web::to(report))
        })
        .bind(("127.0.0.1", 0))?;
        for address in server.addrs() {
            println!("http://{address}");
        }
        server.run().await?;
        Ok(())
    })
}

async fn report(request: HttpRequest, body: Bytes) -> HttpResponse {
    let is_gzip = request.headers().get("content-encoding").is_some_and(|name| name == "gzip");
    let mut decoded = Vec::new();
    let body: &[u8] = if is_gzip {
        if flate2::read::GzDecoder::new(&*body).read_to_end(&mut decoded).is_err() {
            return HttpResponse::BadRequest().finish();
        }
        &decoded
    } else {
        &body
    };
    // An envelope: every line is JSON.
    let mut id = Value::Null;
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(mut parsed) = serde_json::from_slice::<Value>(line) else {
            return HttpResponse::BadRequest().finish();
        };
        if id.is_null() {
            id = parsed["event_id"].take();
        }
        std::hint::black_box(parsed);
    }
    HttpResponse::Ok().json(json!({ "id": id }))
}
