//! Custom fields, which must be paid for.

use serde_json::{Value, json};

use super::reply::{Outcome, Reply};
use super::request::Asked;
use super::state::{State, find, needed};
use super::tasks::Task;

const TYPES: &[&str] = &["text", "number", "enum", "multi_enum", "date", "people", "reference"];

impl State {
    pub(super) fn must_pay(&self) -> Result<(), Reply> {
        if self.is_free { Err(Reply::premium()) } else { Ok(()) }
    }

    pub(super) fn create_field(&mut self, asked: &Asked) -> Outcome {
        self.must_pay()?;
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let name = needed(&data, "name")?;
        needed(&data, "workspace")?;
        let subtype = needed(&data, "resource_subtype")?;
        if !TYPES.contains(&subtype) {
            return Err(Reply::bad("resource_subtype: Unknown type"));
        }
        if self.custom_fields.iter().any(|field| field["name"] == name) {
            return Err(Reply::bad("name: A custom field of that name exists already"));
        }
        let gid = self.new_gid();
        let mut field = json!({
            "gid": gid, "resource_type": "custom_field", "name": name,
            "resource_subtype": subtype, "type": subtype, "workspace": self.workspace(),
        });
        if subtype.ends_with("enum") {
            let wanted = data.get("enum_options").and_then(Value::as_array).cloned();
            let mut options = Vec::new();
            for option in wanted.unwrap_or_default() {
                options.push(self.new_option(&option["name"]));
            }
            field["enum_options"] = json!(options);
        }
        self.custom_fields.push(field.clone());
        Ok(Reply::created(&format!("/custom_fields/{gid}"), &Self::one(asked, &field)))
    }

    fn new_option(&mut self, name: &Value) -> Value {
        let gid = self.new_gid();
        json!({"gid": gid, "resource_type": "enum_option", "name": name, "enabled": true})
    }

    pub(super) fn create_option(&mut self, asked: &Asked, field: &str) -> Outcome {
        self.must_pay()?;
        find(&self.custom_fields, "custom_field", field)?;
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let option = self.new_option(&json!(needed(&data, "name")?));
        let fields = self.custom_fields.iter_mut();
        for own in fields.filter(|own| own["gid"] == field) {
            let options = own.get_mut("enum_options").and_then(Value::as_array_mut);
            let options = options.ok_or_else(|| Reply::bad("custom_field: Has no options"))?;
            options.push(option.clone());
        }
        Ok(Reply::created(&format!("/enum_options/{}", option["gid"]), &option))
    }

    /// Lets the tasks of a project have a field.
    pub(super) fn add_setting(&mut self, asked: &Asked, project: &str) -> Outcome {
        self.must_pay()?;
        find(&self.projects, "project", project)?;
        let data = asked.data().ok_or_else(|| Reply::bad("Could not parse request data"))?;
        let field = needed(&data, "custom_field")?.to_owned();
        find(&self.custom_fields, "custom_field", &field)?;
        let settings = self.settings.entry(project.to_owned()).or_default();
        if settings.contains(&field) {
            return Err(Reply::bad("custom_field: Is on the project already"));
        }
        settings.push(field.clone());
        Ok(Reply::ok(&self.setting(project, &field)))
    }

    fn setting(&self, project: &str, field: &str) -> Value {
        let record = |records: &[Value], gid: &str| find(records, "", gid).cloned().ok();
        json!({
            "gid": format!("{project}{field}"), "resource_type": "custom_field_setting",
            "project": record(&self.projects, project), "is_important": false,
            "custom_field": record(&self.custom_fields, field),
        })
    }

    pub(super) fn list_settings(&mut self, asked: &Asked, project: &str) -> Outcome {
        find(&self.projects, "project", project)?;
        let fields = self.settings.get(project).cloned().unwrap_or_default();
        let settings: Vec<Value> =
            fields.iter().map(|field| self.setting(project, field)).collect();
        let fields = "resource_type,is_important,project.(name|resource_type),custom_field.\
                      (name|resource_type|resource_subtype|type|enum_options.(name|enabled))";
        let mut asked = asked.clone();
        asked.query.entry("opt_fields".to_owned()).or_insert_with(|| fields.to_owned());
        self.page(&asked, &settings)
    }

    /// The fields that a task has by its projects.
    fn fields_of(&self, task: &Task) -> Vec<&Value> {
        let is_on = |field: &&Value| {
            let has = |project: &String| {
                let fields = self.settings.get(project);
                fields.is_some_and(|fields| fields.iter().any(|own| field["gid"] == own.as_str()))
            };
            task.memberships.iter().any(|(project, _)| has(project))
        };
        self.custom_fields.iter().filter(is_on).collect()
    }

    /// What a task shows of its fields.
    pub(super) fn field_values(&self, task: &Task) -> Value {
        let show = |field: &&Value| {
            let mut shown = (*field).clone();
            let gid = field["gid"].as_str().unwrap_or_default();
            let value = task.custom_fields.get(gid).cloned().unwrap_or_default();
            let options = field["enum_options"].as_array();
            let option = options.and_then(|all| all.iter().find(|option| option["gid"] == value));
            let display = match option {
                Some(option) => option["name"].clone(),
                None if value.is_number() => json!(value.to_string()),
                None => value.clone(),
            };
            match field["resource_subtype"].as_str() {
                Some("text") => shown["text_value"] = value,
                Some("number") => shown["number_value"] = value,
                Some("enum") => shown["enum_value"] = json!(option),
                Some("multi_enum") => shown["multi_enum_values"] = value,
                Some("date") => shown["date_value"] = value,
                _ => {}
            }
            shown["display_value"] = display;
            shown["enabled"] = json!(true);
            shown
        };
        self.fields_of(task).iter().map(show).collect()
    }

    /// Writes values into fields that the task's projects have.
    pub(super) fn write_fields(&self, task: &mut Task, values: &Value) -> Result<(), Reply> {
        self.must_pay()?;
        let values = values.as_object();
        let values = values.ok_or_else(|| Reply::bad("custom_fields: Not an object"))?;
        for (gid, value) in values {
            let fields = self.fields_of(task);
            let field = fields.iter().find(|field| field["gid"] == gid.as_str());
            let field = field.ok_or_else(|| {
                Reply::bad(format!(
                    "Custom field with ID {gid} is not on given object {}",
                    task.gid
                ))
            })?;
            let is_right = match (field["resource_subtype"].as_str(), value) {
                (_, Value::Null) => true,
                (Some("text"), Value::String(text)) => text.chars().count() <= 1024,
                (Some("number"), value) => value.is_number(),
                (Some("enum"), value) => {
                    let is_it = |option: &&Value| {
                        option["gid"] == *value && option["enabled"] == Value::Bool(true)
                    };
                    field["enum_options"]
                        .as_array()
                        .is_some_and(|all| all.iter().any(|o| is_it(&o)))
                }
                (Some("text"), _) => false,
                _ => true,
            };
            if !is_right {
                return Err(Reply::bad(format!("custom_fields: {gid}: Not a valid value")));
            }
            task.custom_fields.insert(gid.clone(), value.clone());
        }
        Ok(())
    }
}
