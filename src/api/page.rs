//! Lists: `{"items": […], "next": "<cursor>"|null}`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ApiError;

/// Items of a page when nobody says otherwise.
const USUAL: i64 = 25;

/// Items of a page at most.
const MOST: i64 = 100;

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// How many items, 1 to 100; 25 by default.
    pub(super) limit: Option<i64>,
    /// Where to go on: the `next` of the page before.
    pub(super) cursor: Option<String>,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The items.
    pub(super) items: Vec<T>,
    /// The cursor of the next page; null at the end.
    pub(super) next: Option<String>,
}

impl PageQuery {
    /// How many items to show.
    pub(super) fn limit(&self) -> Result<i64, ApiError> {
        let limit = self.limit.unwrap_or(USUAL);
        if (1..=MOST).contains(&limit) {
            Ok(limit)
        } else {
            Err(ApiError::invalid(format!("limit must be 1 to {MOST}")))
        }
    }

    /// The place to go on from, read by `parse`.
    pub(super) fn after<T>(
        &self,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        self.cursor
            .as_deref()
            .map(|cursor| {
                parse(cursor).ok_or_else(|| {
                    ApiError::invalid("cursor is not one that a page before gave as next")
                })
            })
            .transpose()
    }
}

impl PageQuery {
    /// A page out of all there is, where that is a handful.
    pub(super) fn cut<T, R>(
        &self,
        mut rows: Vec<T>,
        cursor: impl Fn(&T) -> String,
        item: impl FnMut(T) -> R,
    ) -> Result<Page<R>, ApiError> {
        let limit = self.limit()?;
        if let Some(last) = self.after(|after| rows.iter().position(|row| cursor(row) == after))? {
            rows.drain(..=last);
        }
        Ok(page(rows, limit, cursor, item))
    }
}

/// A page out of what was loaded with one item more than `limit`.
pub(super) fn page<T, R>(
    mut rows: Vec<T>,
    limit: i64,
    cursor: impl Fn(&T) -> String,
    item: impl FnMut(T) -> R,
) -> Page<R> {
    let limit = usize::try_from(limit).unwrap_or_default();
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = if has_more { rows.last().map(cursor) } else { None };
    Page { items: rows.into_iter().map(item).collect(), next }
}
