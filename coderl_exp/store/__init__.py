"""Content-addressed artefacts: each is computed once, appears whole or not at all, and is reused.

    <root>/<stage>/<digest>/           a finished artefact with its `manifest.json`
    <root>/<stage>/<digest>.partial/   one in the making; whoever computes next continues it
    <root>/runs/<digest>.json          which artefacts a run refers to; what none does, `gc` removes

The digest covers what can change the result: stage and version, config slice, data, model and the
keys of the inputs. One process computes while others wait on a file lock, which the kernel frees
when its holder dies. `python -m coderl_exp.store` lists, shows, verifies and cleans.
"""

from coderl_exp.store.artefacts import Store
from coderl_exp.store.files import (
    digest_of,
    digest_of_file,
    resume_jsonl,
    write_atomically,
    write_json,
)
from coderl_exp.store.manifest import Artefact, Manifest, StageKey, Summary
from coderl_exp.store.versions import git_commit, installed_versions

__all__ = [
    "Artefact",
    "Manifest",
    "StageKey",
    "Store",
    "Summary",
    "digest_of",
    "digest_of_file",
    "git_commit",
    "installed_versions",
    "resume_jsonl",
    "write_atomically",
    "write_json",
]
