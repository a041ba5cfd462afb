"""Asana's own client works against the server, and finds what the published API promises.

    conformance.py tasks | pages | places | stories | files | fields | free | events | webhooks | limits | broken | external

ASANA_HOST, ASANA_TOKEN, ASANA_WORKSPACE, ASANA_PROJECT and ASANA_OTHER_PROJECT come from the environment. Ends with 0
when all is as it should be.
"""

import hashlib
import hmac
import http.server
import json
import os
import queue
import sys
import tempfile
import threading
import time

import asana
from asana.rest import ApiException

WORKSPACE = os.environ["ASANA_WORKSPACE"]
PROJECT = os.environ["ASANA_PROJECT"]
OTHER_PROJECT = os.environ["ASANA_OTHER_PROJECT"]
WAIT_SECONDS = 20


def connect(page_limit=100):
    configuration = asana.Configuration()
    configuration.host = os.environ["ASANA_HOST"]
    configuration.access_token = os.environ["ASANA_TOKEN"]
    configuration.page_limit = page_limit
    return asana.ApiClient(configuration)


CLIENT = connect()
TASKS = asana.TasksApi(CLIENT)


def same(found, expected):
    if found != expected:
        raise AssertionError(f"{found!r} is not {expected!r}")


def refused(status, call, *arguments, **options):
    """The body of the error that a call must end with."""
    try:
        answer = call(*arguments, **options)
    except ApiException as error:
        same(error.status, status)
        return json.loads(error.body)
    raise AssertionError(f"not refused but {answer!r}")


def message(body):
    return body["errors"][0]["message"]


def make(name="checkout is broken", **fields):
    return TASKS.create_task({"data": {"name": name, "projects": [PROJECT], **fields}}, {})


def names(tasks):
    return [task["name"] for task in tasks]


def tasks():
    me = asana.UsersApi(CLIENT).get_user("me", {})
    same(me["name"], "Airlock")
    task = make(notes="at line 7", assignee="me")
    same((task["name"], task["notes"], task["completed"]), ("checkout is broken", "at line 7", False))
    same(task["assignee"]["gid"], me["gid"])
    same([project["gid"] for project in task["projects"]], [PROJECT])
    gid = task["gid"]
    assert isinstance(gid, str)

    # Fields that are asked for, and the gid; nothing else.
    few = TASKS.get_task(gid, {"opt_fields": "name,memberships.(project|section).name"})
    same(set(few), {"gid", "name", "memberships"})
    same(set(few["memberships"][0]["project"]), {"gid", "name"})
    same(few["memberships"][0]["section"]["name"], "Untitled section")
    same(TASKS.get_task(gid, {"opt_fields": "assignee"})["assignee"], {"gid": me["gid"], "resource_type": "user"})

    same(TASKS.update_task({"data": {"name": "cart is broken"}}, gid, {})["name"], "cart is broken")
    same(TASKS.get_task(gid, {})["notes"], "at line 7")
    done = TASKS.update_task({"data": {"completed": True}}, gid, {})
    assert done["completed"] and done["completed_at"].endswith("Z"), done
    again = TASKS.update_task({"data": {"completed": False}}, gid, {})
    same((again["completed"], again["completed_at"]), (False, None))
    same(TASKS.update_task({"data": {"assignee": None}}, gid, {})["assignee"], None)

    TASKS.update_task({"data": {"html_notes": "<body>a &lt; b <code>x</code></body>"}}, gid, {})
    same(TASKS.get_task(gid, {})["notes"], "a < b x")
    for html in ["no body", "<body>a < b</body>", "<body><pre>x</pre></body>", "<body>", "<body>\x01</body>"]:
        body = refused(400, TASKS.update_task, {"data": {"html_notes": html}}, gid, {})
        assert "XML is invalid" in message(body), body

    same(message(refused(400, TASKS.create_task, {"data": {"name": "x"}}, {})), "workspace: Missing input")
    same(message(refused(400, lambda: list(TASKS.get_tasks({})))), "workspace: Missing input")
    refused(400, TASKS.update_task, {"data": {"projects": [OTHER_PROJECT]}}, gid, {})
    refused(404, TASKS.get_task, "17", {})
    assert "phrase" not in refused(404, TASKS.get_task, "17", {})["errors"][0]

    same(TASKS.delete_task(gid), {})
    refused(404, TASKS.get_task, gid, {})


def pages():
    api = asana.TasksApi(connect(page_limit=3))
    made = [make(f"task {number}") for number in range(7)]
    all_tasks = list(api.get_tasks_for_project(PROJECT, {}))
    same(names(all_tasks), [f"task {number}" for number in range(7)])
    same(set(all_tasks[0]), {"gid", "name", "resource_type", "resource_subtype"})
    for task in made[:5]:
        TASKS.update_task({"data": {"completed": True}}, task["gid"], {})
    is_open = {"completed_since": "now", "opt_fields": "name,completed"}
    same(names(api.get_tasks_for_project(PROJECT, is_open)), ["task 5", "task 6"])
    same(len(list(api.get_tasks({"project": PROJECT, "modified_since": "2020-01-01T00:00:00Z"}))), 7)
    same(len(list(api.get_tasks({"project": PROJECT, "modified_since": "2220-01-01T00:00:00Z"}))), 0)
    refused(400, lambda: list(api.get_tasks({"project": PROJECT, "offset": "made-up"})))


def places():
    sections = asana.SectionsApi(CLIENT)
    done = sections.create_section_for_project(PROJECT, {"body": {"data": {"name": "Done"}}})
    same([section["name"] for section in sections.get_sections_for_project(PROJECT, {})], ["Untitled section", "Done"])
    one, two = make("one"), make("two")
    for task in (one, two):
        same(sections.add_task_for_section(done["gid"], {"body": {"data": {"task": task["gid"]}}}), {})
    same(names(TASKS.get_tasks_for_section(done["gid"], {})), ["two", "one"])

    gid = one["gid"]
    same(TASKS.add_project_for_task({"data": {"project": OTHER_PROJECT}}, gid), {})
    in_projects = {"opt_fields": "memberships.project"}
    memberships = TASKS.get_task(gid, in_projects)["memberships"]
    same([membership["project"]["gid"] for membership in memberships], [PROJECT, OTHER_PROJECT])
    same(TASKS.remove_project_for_task({"data": {"project": PROJECT}}, gid), {})
    same(names(TASKS.get_tasks_for_project(PROJECT, {})), ["two"])
    TASKS.remove_project_for_task({"data": {"project": OTHER_PROJECT}}, gid)
    same(TASKS.get_task(gid, {})["projects"], [])

    members = asana.ProjectMembershipsApi(CLIENT)
    found = list(members.get_project_memberships_for_project(PROJECT, {"user": "me"}))
    same([(one["resource_type"], one["access_level"], one["parent"]["gid"]) for one in found],
         [("project_membership", "editor", PROJECT)])
    only = {"user": "me", "opt_fields": "access_level"}
    same(sorted(list(members.get_project_memberships_for_project(PROJECT, only))[0]), ["access_level", "gid"])
    assert len(list(members.get_project_memberships_for_project(PROJECT, {}))) > 1

    projects = asana.ProjectsApi(CLIENT)
    for number in range(21):
        body = {"data": {"name": f"board {number}", "workspace": WORKSPACE}}
        project = {"data": {"project": projects.create_project(body, {})["gid"]}}
        if number < 20:
            TASKS.add_project_for_task(project, gid)
        else:
            refused(400, TASKS.add_project_for_task, project, gid)


def stories():
    api = asana.StoriesApi(CLIENT)
    gid = make()["gid"]
    comment = api.create_story_for_task({"data": {"text": "seen again & again"}}, gid, {})
    same((comment["resource_subtype"], comment["text"]), ("comment_added", "seen again & again"))
    api.create_story_for_task({"data": {"html_text": "<body><strong>fixed</strong></body>"}}, gid, {})
    refused(400, api.create_story_for_task, {"data": {"html_text": "<body><h1>x</h1></body>"}}, gid, {})
    refused(400, api.create_story_for_task, {"data": {}}, gid, {})
    same(api.update_story({"data": {"text": "seen"}}, comment["gid"], {})["text"], "seen")
    TASKS.update_task({"data": {"completed": True}}, gid, {})
    subtypes = [story["resource_subtype"] for story in api.get_stories_for_task(gid, {})]
    same(subtypes, ["comment_added", "comment_added", "marked_complete"])
    same(api.delete_story(comment["gid"]), {})
    refused(404, api.get_story, comment["gid"], {})


def files():
    api = asana.AttachmentsApi(CLIENT)
    gid = make()["gid"]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "push.log")
        with open(path, "wb") as log:
            log.write(b"one\r\n--two\n\0three")
        attachment = api.create_attachment_for_object({"file": path, "parent": gid, "name": "push.log"})
    same(attachment["name"], "push.log")
    same(names(api.get_attachments_for_object(gid, {})), ["push.log"])
    same(api.get_attachment(attachment["gid"], {})["parent"]["gid"], gid)


def fields():
    api = asana.CustomFieldsApi(CLIENT)
    field = {"workspace": WORKSPACE, "name": "Fix commit", "resource_subtype": "text"}
    gid = api.create_custom_field({"data": field}, {})["gid"]
    task = make()["gid"]
    value = {"data": {"custom_fields": {gid: "4f2a"}}}
    refused(400, TASKS.update_task, value, task, {})
    asana.ProjectsApi(CLIENT).add_custom_field_setting_for_project({"data": {"custom_field": gid}}, PROJECT, {})
    TASKS.update_task(value, task, {})
    shown = TASKS.get_task(task, {"opt_fields": "custom_fields.text_value"})
    same(shown["custom_fields"], [{"gid": gid, "text_value": "4f2a"}])
    same(TASKS.get_task(task, {})["custom_fields"][0]["display_value"], "4f2a")
    refused(400, TASKS.update_task, {"data": {"custom_fields": {gid: "x" * 1025}}}, task, {})

    level = {
        "workspace": WORKSPACE, "name": "Level", "resource_subtype": "enum", "enum_options": [{"name": "fatal"}],
    }
    level = api.create_custom_field({"data": level}, {})
    asana.ProjectsApi(CLIENT).add_custom_field_setting_for_project({"data": {"custom_field": level["gid"]}}, PROJECT, {})
    fatal = level["enum_options"][0]["gid"]
    made = make(custom_fields={level["gid"]: fatal})
    same([field["display_value"] for field in made["custom_fields"]], [None, "fatal"])
    refused(400, TASKS.update_task, {"data": {"custom_fields": {level["gid"]: "fatal"}}}, task, {})

    found = TASKS.search_tasks_for_workspace(WORKSPACE, {f"custom_fields.{gid}.value": "4f2a"})
    same([found_task["gid"] for found_task in found], [task])


def free():
    field = {"workspace": WORKSPACE, "name": "Fix commit", "resource_subtype": "text"}
    refused(402, asana.CustomFieldsApi(CLIENT).create_custom_field, {"data": field}, {})
    refused(402, lambda: list(TASKS.search_tasks_for_workspace(WORKSPACE, {"text": "x"})))


def events():
    # The client's iterator swallows the first 412 and does not advance its token; this does without it.
    whole = connect()
    whole.configuration.return_page_iterator = False
    api = asana.EventsApi(whole)
    sync = refused(412, api.get_events, PROJECT, {})["sync"]
    task = make()["gid"]
    TASKS.update_task({"data": {"completed": True}}, task, {})
    TASKS.add_project_for_task({"data": {"project": OTHER_PROJECT}}, task)
    answer = api.get_events(PROJECT, {"sync": sync}, full_payload=True)
    same(answer["has_more"], False)
    seen = [(event["action"], event["resource"]["resource_type"]) for event in answer["data"]]
    same(seen, [
        ("added", "task"), ("changed", "task"), ("added", "story"), ("added", "task"), ("added", "story"),
    ])
    same(answer["data"][1]["change"]["field"], "completed")
    same(answer["data"][0]["parent"]["gid"], PROJECT)
    sync = answer["sync"]
    same(api.get_events(PROJECT, {"sync": sync}, full_payload=True)["data"], [])

    for number in range(51):
        TASKS.update_task({"data": {"completed": number % 2 == 1}}, task, {})
    first = api.get_events(PROJECT, {"sync": sync}, full_payload=True)
    same((len(first["data"]), first["has_more"]), (100, True))
    second = api.get_events(PROJECT, {"sync": first["sync"]}, full_payload=True)
    same((len(second["data"]), second["has_more"]), (2, False))
    refused(412, api.get_events, PROJECT, {"sync": "made-up"})


class Receiver(http.server.BaseHTTPRequestHandler):
    received = queue.Queue()
    echoes = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        secret = self.headers["X-Hook-Secret"]
        self.send_response(200)
        if secret and Receiver.echoes:
            self.send_header("X-Hook-Secret", secret)
        self.end_headers()
        if not secret:
            Receiver.received.put((self.headers["X-Hook-Signature"], body))

    def log_message(self, *_arguments):
        pass


def webhooks():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    target = f"http://127.0.0.1:{server.server_port}/hook"
    api = asana.WebhooksApi(CLIENT)
    Receiver.echoes = False
    wanted = {"data": {"resource": PROJECT, "target": target}}
    refused(400, api.create_webhook, wanted, {})
    Receiver.echoes = True
    filters = [{"resource_type": "task", "action": "changed", "fields": ["completed"]}]
    wanted["data"]["filters"] = filters
    made = api.create_webhook(wanted, {}, full_payload=True)
    secret, gid = made["X-Hook-Secret"], made["data"]["gid"]
    assert made["data"]["active"], made

    def receive():
        signature, body = Receiver.received.get(timeout=WAIT_SECONDS)
        same(signature, hmac.new(secret.encode(), body, hashlib.sha256).hexdigest())
        return json.loads(body)["events"]

    same(receive(), [])
    task = make()["gid"]
    TASKS.update_task({"data": {"name": "another"}}, task, {})
    TASKS.update_task({"data": {"completed": True}}, task, {})
    [event] = receive()
    same((event["resource"]["gid"], event["change"]["field"]), (task, "completed"))
    assert "name" not in event["resource"], event
    same([hook["gid"] for hook in api.get_webhooks(WORKSPACE, {})], [gid])
    assert api.get_webhook(gid, {})["last_success_at"]
    same(api.delete_webhook(gid), {})
    refused(404, api.get_webhook, gid, {})
    server.shutdown()


def limits():
    """The second and third call meet a limit of a second each."""
    gid = make()["gid"]
    began = time.monotonic()
    same(TASKS.update_task({"data": {"name": "later"}}, gid, {})["name"], "later")
    assert time.monotonic() - began >= 1, "Retry-After was not waited for"
    body = refused(429, asana.StoriesApi(CLIENT).create_story_for_task, {"data": {"text": "x"}}, gid, {})
    assert "hit a rate limit" in message(body), body


def broken():
    body = refused(500, TASKS.create_task, {"data": {"name": "x", "projects": [PROJECT]}}, {})
    same(body["errors"][0]["phrase"], "6 sad squid snuggle softly")
    # The task is made, but nobody says so.
    try:
        make("twice")
    except Exception as error:
        assert "Connection aborted" in str(error) or "closed connection" in str(error), repr(error)
    else:
        raise AssertionError("an answer came")


def external():
    gid = make(external={"gid": "airlock/shop:1", "data": "first"})["gid"]
    same(TASKS.get_task("external:airlock/shop:1", {})["gid"], gid)
    same(TASKS.update_task({"data": {"completed": True}}, "external:airlock/shop:1", {})["gid"], gid)
    same(TASKS.get_task(gid, {"opt_fields": "external"})["external"], {"gid": "airlock/shop:1", "data": "first"})


if __name__ == "__main__":
    {
        step.__name__: step
        for step in (
            tasks, pages, places, stories, files, fields, free, events, webhooks, limits, broken, external,
        )
    }[sys.argv[1]]()
