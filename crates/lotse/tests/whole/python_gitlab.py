"""What people do with python-gitlab, done to a server; prints what it sees."""

import os

import gitlab

client = gitlab.Gitlab(os.environ["URL"], private_token=os.environ["TOKEN"])
client.auth()
print("user", client.user.username)
print("projects", len(client.projects.list(get_all=True)))
print("first page", len(client.projects.list(get_all=False)))
print("iterated", len(list(client.projects.list(iterator=True, per_page=7))))

project = client.projects.get("site/web")
print("project", project.path_with_namespace, project.default_branch)
pipeline = project.pipelines.list(get_all=True)[0]
print("pipeline", pipeline.ref, pipeline.status)
for job in sorted(pipeline.jobs.list(get_all=True), key=lambda job: job.id):
    print("job", job.name, job.stage, job.status)
    trace = project.jobs.get(job.id).trace().decode()
    print("said", [line for line in trace.splitlines() if line.startswith("hello")])

build = project.jobs.get(min(job.id for job in pipeline.jobs.list(get_all=True)))
print("artifacts", [file["file_type"] for file in build.attributes["artifacts"]], build.artifacts()[:2])
print("one file", build.artifact("out/file"))
print("of the ref", project.artifacts.download(ref_name="main", job="build")[:2])
for bridge in pipeline.bridges.list(get_all=True):
    below = project.pipelines.get(bridge.downstream_pipeline["id"])
    print("bridge", bridge.name, bridge.status, below.source, below.status)
print("listed", len(project.pipelines.list(get_all=True)))
print("children", len(project.pipelines.list(source="parent_pipeline", get_all=True)))

project.variables.create({"key": "COLOUR", "value": "blue"})
variable = project.variables.get("COLOUR")
variable.value = "green"
variable.save()
print("variable", [(v.key, v.value) for v in project.variables.list()])
variable.delete()
print("variables", len(project.variables.list()))

started = project.pipelines.create({"ref": "main", "variables": [{"key": "A", "value": "b"}]})
started.cancel()
started.refresh()
print("cancelled", started.status)

try:
    client.projects.get("site/none")
except gitlab.exceptions.GitlabGetError as error:
    print("missing", error.response_code)
try:
    gitlab.Gitlab(os.environ["URL"], private_token="lot-wrong").auth()
except gitlab.exceptions.GitlabAuthenticationError as error:
    print("wrong token", error.response_code)
