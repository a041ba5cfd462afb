//! Comments, and what Asana writes under a task by itself; attachments.

use serde_json::{Value, json};

use super::reply::{Outcome, Reply};
use super::request::Asked;
use super::rich_text;
use super::state::{State, Who, find, text};

/// The most bytes of an attachment.
const MOST_BYTES: usize = 100 * 1024 * 1024;

impl State {
    fn new_story(&mut self, who: &Who, task: &str, subtype: &str, said: (&str, &str)) -> String {
        let gid = self.new_gid();
        let by = who.user.as_ref().and_then(|user| find(&self.users, "user", user).ok());
        let is_comment = subtype == "comment_added";
        let name = self.tasks.iter().find(|own| own.gid == task).map(|own| own.name.clone());
        let story = json!({
            "gid": gid, "resource_type": "story", "resource_subtype": subtype,
            "type": if is_comment { "comment" } else { "system" },
            "text": said.0, "html_text": said.1, "created_at": self.now_text(),
            "created_by": by, "is_pinned": false, "is_editable": is_comment,
            "target": {"gid": task, "resource_type": "task", "name": name},
        });
        self.stories.push(story);
        self.touch(task);
        self.emit_story(who, &gid, task, "added");
        gid
    }

    /// What nobody said: that a task was completed, or put into a project.
    pub(super) fn system_story(&mut self, who: &Who, task: &str, subtype: &str) {
        let text = format!("{} this task", subtype.replace('_', " "));
        self.new_story(who, task, subtype, (&text, &format!("<body>{text}</body>")));
    }

    pub(super) fn create_story(&mut self, who: &Who, asked: &Asked, name: &str) -> Outcome {
        let index = self.task_index(who, name)?;
        let task = self.tasks[index].gid.clone();
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let (plain, html) = match (text(&data, "text")?, text(&data, "html_text")?) {
            (Some(plain), None) => {
                (plain.to_owned(), format!("<body>{}</body>", quick_xml::escape::escape(plain)))
            }
            (None, Some(html)) => (rich_text::text_of("html_text", html)?, html.to_owned()),
            (None, None) => return Err(Reply::bad("text: Missing input")),
            (Some(_), Some(_)) => {
                return Err(Reply::bad("text: Only one of text and html_text may be given"));
            }
        };
        let gid = self.new_story(who, &task, "comment_added", (&plain, &html));
        let is_pinned = data.get("is_pinned") == Some(&Value::Bool(true));
        let story = self.stories.last_mut().expect("just made");
        story["is_pinned"] = json!(is_pinned);
        let shown = Self::one(asked, story);
        Ok(Reply::created(&format!("/stories/{gid}"), &shown))
    }

    pub(super) fn list_stories(&mut self, who: &Who, asked: &Asked, name: &str) -> Outcome {
        let gid = self.tasks[self.task_index(who, name)?].gid.clone();
        let stories = self.stories.iter().filter(|story| story["target"]["gid"] == gid.as_str());
        let stories: Vec<Value> = stories.cloned().collect();
        self.page(asked, &stories)
    }

    /// One's own comments only.
    fn own_comment(&self, who: &Who, gid: &str) -> Result<usize, Reply> {
        let index = self.stories.iter().position(|story| story["gid"] == gid);
        let index = index.ok_or_else(|| Reply::not_found("story", gid))?;
        let story = &self.stories[index];
        let is_own = story["created_by"]["gid"].as_str() == who.user.as_deref();
        if is_own && story["type"] == "comment" {
            return Ok(index);
        }
        Err(Reply::error(403, "You do not have permission to change this story"))
    }

    pub(super) fn update_story(&mut self, who: &Who, asked: &Asked, gid: &str) -> Outcome {
        let index = self.own_comment(who, gid)?;
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let mut story = self.stories[index].clone();
        if let Some(plain) = text(&data, "text")? {
            story["text"] = json!(plain);
            story["html_text"] =
                json!(format!("<body>{}</body>", quick_xml::escape::escape(plain)));
        }
        if let Some(html) = text(&data, "html_text")? {
            story["text"] = json!(rich_text::text_of("html_text", html)?);
            story["html_text"] = json!(html);
        }
        if let Some(is_pinned) = data.get("is_pinned") {
            story["is_pinned"] = is_pinned.clone();
        }
        self.stories[index] = story.clone();
        let task = story["target"]["gid"].as_str().unwrap_or_default().to_owned();
        self.touch(&task);
        self.emit_story(who, gid, &task, "changed");
        Ok(Reply::ok(&Self::one(asked, &story)))
    }

    pub(super) fn delete_story(&mut self, who: &Who, gid: &str) -> Outcome {
        let index = self.own_comment(who, gid)?;
        let task = self.stories[index]["target"]["gid"].as_str().unwrap_or_default().to_owned();
        self.emit_story(who, gid, &task, "deleted");
        self.stories.remove(index);
        self.touch(&task);
        Ok(Reply::empty())
    }

    pub(super) fn create_attachment(&mut self, who: &Who, asked: &Asked) -> Outcome {
        let parts = parts(asked).ok_or_else(|| Reply::bad("file: Expected multipart/form-data"))?;
        let field = |name: &str| parts.iter().find(|part| part.name == name);
        let parent = field("parent").ok_or_else(|| Reply::bad("parent: Missing input"))?;
        let parent = String::from_utf8_lossy(&parent.bytes).into_owned();
        let index = self.task_index(who, &parent)?;
        let task = self.tasks[index].gid.clone();
        let file = field("file").ok_or_else(|| Reply::bad("file: Missing input"))?;
        if file.bytes.len() > MOST_BYTES {
            return Err(Reply::error(413, "file: Too large"));
        }
        let gid = self.new_gid();
        let attachment = json!({
            "gid": gid, "resource_type": "attachment", "resource_subtype": "asana",
            "name": file.file_name, "created_at": self.now_text(), "host": "asana",
            "size": file.bytes.len(),
            "parent": {"gid": task, "resource_type": "task", "name": self.tasks[index].name},
        });
        self.files.insert(gid, file.bytes.clone());
        let shown = Self::one(asked, &attachment);
        self.attachments.push(attachment);
        self.system_story(who, &task, "attachment_added");
        // As Asana does: 200, not 201.
        Ok(Reply::ok(&shown))
    }

    pub(super) fn list_attachments(&mut self, who: &Who, asked: &Asked) -> Outcome {
        let parent = asked.query.get("parent");
        let parent = parent.ok_or_else(|| Reply::bad("parent: Missing input"))?;
        let gid = self.tasks[self.task_index(who, parent)?].gid.clone();
        let own = self.attachments.iter().filter(|own| own["parent"]["gid"] == gid.as_str());
        let own: Vec<Value> = own.cloned().collect();
        self.page(asked, &own)
    }
}

struct Part {
    name: String,
    file_name: String,
    bytes: Vec<u8>,
}

/// The parts of a multipart body.
fn parts(asked: &Asked) -> Option<Vec<Part>> {
    let (kind, boundary) = asked.header("content-type").split_once("boundary=")?;
    if !kind.starts_with("multipart/form-data") {
        return None;
    }
    let boundary = format!("--{}", boundary.trim_matches('"'));
    let starts: Vec<usize> = asked
        .body
        .windows(boundary.len())
        .enumerate()
        .filter(|(_, window)| *window == boundary.as_bytes())
        .map(|(at, _)| at)
        .collect();
    let mut found = Vec::new();
    for two in starts.windows(2) {
        // After the boundary's end of line, up to the one before the next boundary.
        let part = asked.body.get(two[0] + boundary.len() + 2..two[1].checked_sub(2)?)?;
        let end = part.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(part.get(..end)?).into_owned();
        let value = |name: &str| {
            let (_, rest) = head.split_once(&format!("; {name}=\""))?;
            Some(rest.split('"').next()?.to_owned())
        };
        found.push(Part {
            name: value("name")?,
            file_name: value("filename").unwrap_or_default(),
            bytes: part.get(end + 4..)?.to_vec(),
        });
    }
    Some(found)
}
