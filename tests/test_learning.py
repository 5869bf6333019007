"""Does training make a policy better at problems that it was never trained on?"""

from __future__ import annotations

import pytest

from tests.experiment import Experiment
from tests.learning import DPO, GRPO, GRPO_CONSTANT_REWARD, learn, make_learner, with_wrong_verdicts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return make_learner(tmp_path_factory.mktemp("learning"))


def test_dpo_learns_what_it_has_no_pairs_for(experiment: Experiment) -> None:
    learnt = learn(experiment, "dpo", *DPO)
    assert 0.2 < learnt.before.mean < 0.45
    assert learnt.difference.mean > 0.1
    assert learnt.difference.low > 0


@pytest.mark.exhaustive
def test_dpo_on_wrong_verdicts_teaches_nothing(experiment: Experiment) -> None:
    learnt = learn(with_wrong_verdicts(experiment), "misjudged", *DPO)
    assert learnt.difference.mean < 0.05


def test_grpo_learns_what_was_never_rewarded(experiment: Experiment) -> None:
    learnt = learn(experiment, "grpo", *GRPO)
    assert 0.2 < learnt.before.mean < 0.45
    assert learnt.difference.mean > 0.2
    assert learnt.difference.low > 0


@pytest.mark.exhaustive
def test_a_constant_reward_teaches_nothing(experiment: Experiment) -> None:
    learnt = learn(experiment, "constant", *GRPO_CONSTANT_REWARD)
    assert abs(learnt.difference.mean) < 0.1
