//! A connection ends with the answer to a request whose body nobody read to its end.
//!
//! Without this the HTTP library reads and discards the rest of a chunked body for as long as the
//! client likes, without any time limit, once the handler has dropped it. While the body is held
//! until the answer is sent, it closes the connection instead, after a second.

use std::cell::RefCell;
use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage as _;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use futures_util::Stream;

type Shared = Rc<RefCell<Payload>>;

/// The body as the handler sees it; dropping it does not drop the body.
struct Lent(Shared);

impl Stream for Lent {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// An answer that holds the request's body until it is sent.
struct Holding {
    answer: BoxBody,
    _request: Shared,
}

impl MessageBody for Holding {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(context)
    }
}

/// Holds the body of each request until its answer is sent.
pub(super) async fn middleware(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let shared = Rc::new(RefCell::new(request.take_payload()));
    let lent = Box::pin(Lent(Rc::clone(&shared)));
    request.set_payload(Payload::Stream { payload: lent });
    let response = next.call(request).await?;
    Ok(response
        .map_body(|_, body| BoxBody::new(Holding { answer: BoxBody::new(body), _request: shared })))
}
