# A Redmine that is empty: on a new database, with Redmine's default statuses, trackers and roles, the REST API
# on, and a key of its administrator. It ends with whoever has its standard input.

Thread.new do
  $stdin.read
  exit!
end

require File.join(ENV.fetch("REDMINE"), "config/environment")

Rails.logger.level = Logger::FATAL
Attachment.storage_path = ENV.fetch("REDMINE_FILES")
ActiveRecord::Migration.verbose = false
ActiveRecord::MigrationContext.new(Rails.root.join("db/migrate").to_s, ActiveRecord::SchemaMigration).migrate
Rails.application.eager_load!
ActiveRecord::Base.descendants.each(&:reset_column_information)
Redmine::DefaultData::Loader.load("en")
Setting.rest_api_enabled = "1"
admin = User.find_by_login("admin")
admin.update_columns(must_change_passwd: false)
Token.create!(user: admin, action: "api").update_columns(value: ENV.fetch("REDMINE_KEY"))
IssueCustomField.create!(
  name: "Fix", field_format: "string", is_for_all: true, tracker_ids: Tracker.ids
)

run Rails.application
