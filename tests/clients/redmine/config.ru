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
# What was learned of tables before they were there is forgotten, also which of them hold several kinds.
ActiveRecord::Base.descendants.each do |table|
  table.reset_column_information
  table.instance_variable_set(:@finder_needs_type_condition, nil)
end
Redmine::DefaultData::Loader.load("en")
Setting.rest_api_enabled = "1"
admin = User.find_by_login("admin")
admin.update_columns(must_change_passwd: false)
Token.create!(user: admin, action: "api").update_columns(value: ENV.fetch("REDMINE_KEY"))
IssueCustomField.create!(
  name: "Fix", field_format: "string", is_for_all: true, tracker_ids: Tracker.ids
)

# What a text looks like, whatever the setting is: its name is in the query, the text in the body.
map "/rendered" do
  run(lambda do |env|
    format = env["QUERY_STRING"]
    next [404, {}, []] unless Redmine::WikiFormatting.format_names.include?(format)
    text = env["rack.input"].read.force_encoding("UTF-8")
    html = Redmine::WikiFormatting.to_html(format, text)
    [200, { "Content-Type" => "application/json" }, [{ html: html.to_s }.to_json]]
  end)
end

run Rails.application
