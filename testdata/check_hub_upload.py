"""Checks that huggingface_hub uploads to model/hub/hubtest as to the hub. The Go tests run it:

    BLIPFLOW_HUB_PYTHON=$PWD/.venv/bin/python go test ./model/hub -run Python -v

    check_hub_upload.py folder KIND ID REVISION FOLDER [private] [pull_request]    makes the repository and uploads to it
    check_hub_upload.py file KIND ID REVISION FOLDER NAME                          uploads one file
    check_hub_upload.py refused KIND ID                                            fails unless the hub refuses the token
    check_hub_upload.py stale KIND ID PARENT                                       fails unless the branch has moved on
    check_hub_upload.py whoami                                                     prints whose token it is

The hub is that of HF_ENDPOINT, the token that of HF_TOKEN. HF_HUB_DISABLE_XET
has to be 1: huggingface_hub 2 uploads by Xet wherever hf_xet is installed, and
there is nothing that a hub could say against it (_commit_api._upload_files). It
has no upload_large_folder any more; upload_folder does its work. The commit is
printed as JSON.
"""

import json
import pathlib
import sys

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError


def show(commit):
    print(json.dumps({"oid": commit.oid, "url": commit.commit_url, "pull_request": commit.pr_url, "repo": commit.repo_url.repo_id}))


def folder(api, kind, repo_id, revision, path, *options):
    where = {"repo_id": repo_id, "repo_type": kind}
    api.create_repo(**where, exist_ok=True, private=True if "private" in options else None)
    if revision != "main":
        api.create_branch(**where, branch=revision, exist_ok=True)
    commit = api.upload_folder(**where, folder_path=path, revision=revision, create_pr="pull_request" in options, commit_message="Upload", commit_description="All of it.")
    listed = set(api.list_repo_files(**where, revision=commit.pr_revision or revision))
    names = {p.relative_to(path).as_posix() for p in pathlib.Path(path).rglob("*") if p.is_file()}
    if not names <= listed:
        sys.exit(f"the repository lacks {names - listed}")
    show(commit)


def file(api, kind, repo_id, revision, path, name):
    show(api.upload_file(repo_id=repo_id, repo_type=kind, revision=revision, path_or_fileobj=pathlib.Path(path, name), path_in_repo=name))


def expect(status, call):
    try:
        call()
    except HfHubHTTPError as err:
        if err.response.status_code != status:
            raise
        print(json.dumps({"said": str(err)}))
    else:
        sys.exit(f"the hub did not answer with {status}")


def refused(api, kind, repo_id):
    expect(403, lambda: api.create_repo(repo_id, repo_type=kind))


def stale(api, kind, repo_id, parent):
    add = CommitOperationAdd("stale.txt", b"stale")
    expect(412, lambda: api.create_commit(repo_id, [add], repo_type=kind, commit_message="Stale", parent_commit=parent))


def main():
    what, *args = sys.argv[1:]
    if what == "whoami":
        print(json.dumps({"name": HfApi().whoami()["name"]}))
        return
    {"folder": folder, "file": file, "refused": refused, "stale": stale}[what](HfApi(), *args)


main()
