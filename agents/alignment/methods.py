"""The method table: what each minimises, reads and remembers, its settings and their sources.

To add a method: its loss (if the blocks do not give it already), its row here, its row in
tests/alignment/alignment_rows.py. Nothing else knows a method's name.

Sources of defaults: TRL (its configuration), REPO (the authors' code), PAPER, and, where neither
was read, K-high, K-med or K-low: how sure we are of what we remember. OURS: chosen here.
"""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from torch import Tensor

from agents.alignment import list_losses as lists
from agents.alignment import pair_losses as pairs
from agents.alignment.batch import AlignmentError, Batch
from agents.alignment.method import Method, Paper
from agents.alignment.readings import (
    read_behaviour,
    read_history,
    read_logits,
    read_mismatched,
    read_policy,
    read_reference,
    read_teachers,
)
from agents.alignment.sources import against_mixture, itself, mixture
from agents.alignment.transforms import goal_relabelled
from agents.alignment.views import log_probs, log_ratios, mean_log_ratios
from agents.checks import suggestion

ALONE = (read_policy,)
REFERRED = (read_policy, read_reference)
FRESH = (read_policy, read_behaviour)
FRESH_REFERRED = (read_policy, read_reference, read_behaviour)
PAST = (read_policy, read_reference, read_history)
TAUGHT = (read_policy, read_logits, read_teachers)


def method(name: str) -> Method:
    """The row of that name; AlignmentError where there is none."""
    if name not in METHODS:
        raise AlignmentError(
            f'no method "{name}"\n  methods: {", ".join(METHODS)}.{suggestion(name, METHODS)}'
        )
    return METHODS[name]


def _labels(batch: Batch, *, rows: int, **_: object) -> dict[str, Tensor]:
    return {"labels": log_probs(batch).detach().new_ones(rows)}


def _reliability(batch: Batch, *, annotators: int, start: float, **_: object) -> dict[str, Tensor]:
    return {"reliability": log_probs(batch).detach().new_full((annotators,), start)}


def _price(batch: Batch, *, start: float, **_: object) -> dict[str, Tensor]:
    return {"price": log_probs(batch).detach().new_tensor(start)}


def _origin(batch: Batch, **_: object) -> dict[str, Tensor]:
    zero = log_probs(batch).detach().new_zeros(())
    return {"origin": zero, "seen": zero}


_CPO = "Conditional equivalence of DPO and RLHF: Constrained Preference Optimization"
_LIPO = "LiPO: Listwise Preference Optimization through Learning-to-Rank"
_ONLINE = "Human Alignment of Large Language Models through Online Preference Optimisation"
_POWER = "Sail into the Headwind: Alignment via Robust Rewards and Dynamic Labels"
_APO = "Anchored Preference Optimization and Contrastive Revisions"
_INSIGHT = "Preference Learning Algorithms Do Not Learn Preference Rankings"


_ROWS = (
    # Pairs against a reference.
    Method(
        name="dpo",
        loss=pairs.dpo,
        reads=REFERRED,
        defaults={"beta": 0.1, "ratios": log_ratios},
        defaults_from="TRL",
        paper=Paper("Direct Preference Optimization", "arXiv:2305.18290", "equation 7"),
    ),
    Method(
        name="dpo_norm",
        loss=pairs.dpo,
        reads=REFERRED,
        defaults={"beta": 5.0, "ratios": mean_log_ratios},
        defaults_from="K-med",
        paper=Paper(
            "Tulu 3: Pushing Frontiers in Open Language Model Post-Training",
            "arXiv:2411.15124",
            "length-normalised DPO",
        ),
    ),
    Method(
        name="attenuated",
        loss=pairs.attenuated,
        reads=REFERRED,
        defaults={"beta": 0.1, "share": 0.5},
        defaults_from="PAPER sweeps share over 0 to 2; 0.5 is OURS",
        paper=Paper(_INSIGHT, "arXiv:2405.19534", "attenuated loss"),
    ),
    Method(
        name="cdpo",
        loss=pairs.cdpo,
        reads=REFERRED,
        defaults={"beta": 0.1, "flip_rate": 0.1},
        defaults_from="K-high",
        paper=Paper(
            "A note on DPO with noisy preferences and relationship to IPO",
            "https://ericmitchell.ai/cdpo.pdf",
            "conservative loss",
        ),
    ),
    Method(
        name="rdpo",
        loss=pairs.rdpo,
        reads=REFERRED,
        defaults={"beta": 0.1, "flip_rate": 0.1},
        defaults_from="TRL",
        paper=Paper(
            "Provably Robust DPO: Aligning Language Models with Noisy Feedback",
            "arXiv:2403.00409",
            "robust loss",
        ),
    ),
    Method(
        name="hinge",
        loss=pairs.hinge,
        reads=REFERRED,
        defaults={"beta": 0.1},
        defaults_from="TRL",
        paper=Paper(
            "Statistical Rejection Sampling Improves Preference Optimization",
            "arXiv:2309.06657",
            "hinge loss (SLiC with a reference)",
        ),
    ),
    Method(
        name="ipo",
        loss=pairs.ipo,
        reads=REFERRED,
        defaults={"tau": 0.1, "ratios": log_ratios},
        defaults_from="TRL",
        paper=Paper(
            "A General Theoretical Paradigm to Understand Learning from Human Preferences",
            "arXiv:2310.12036",
            "equation 17",
        ),
    ),
    Method(
        name="discopop",
        loss=pairs.discopop,
        reads=REFERRED,
        defaults={"beta": 0.1, "temperature": 0.05},
        defaults_from="TRL",
        paper=Paper(
            "Discovering Preference Optimization Algorithms with and for LLMs",
            "arXiv:2406.08414",
            "equation 5",
        ),
    ),
    Method(
        name="exo",
        loss=pairs.exo,
        reads=REFERRED,
        defaults={"beta": 0.1, "flip_rate": 1e-3},
        defaults_from="TRL",
        paper=Paper(
            "Towards Efficient Exact Optimization of Language Model Alignment",
            "arXiv:2402.00856",
            "equation 16",
        ),
    ),
    Method(
        name="nca",
        loss=pairs.nca,
        reads=REFERRED,
        defaults={"beta": 0.1},
        defaults_from="TRL",
        paper=Paper(
            "Noise Contrastive Alignment of Language Models with Explicit Rewards",
            "arXiv:2402.05369",
            "NCA for pairs",
        ),
    ),
    Method(
        name="sppo",
        loss=pairs.sppo,
        reads=REFERRED,
        defaults={"beta": 1e-3},
        defaults_from="K-med (1 / beta = 1000)",
        paper=Paper(
            "Self-Play Preference Optimization for Language Model Alignment",
            "arXiv:2405.00675",
            "equation 4.7, hard labels",
        ),
    ),
    Method(
        name="aot",
        loss=pairs.aot,
        reads=REFERRED,
        defaults={"beta": 0.1},
        defaults_from="TRL",
        paper=Paper(
            "Distributional Preference Alignment of LLMs via Optimal Transport",
            "arXiv:2406.05882",
            "paired sorting loss",
        ),
    ),
    Method(
        name="apo_zero",
        loss=pairs.apo_zero,
        reads=REFERRED,
        defaults={"beta": 0.1},
        defaults_from="TRL",
        paper=Paper(_APO, "arXiv:2408.06266", "equation 7"),
    ),
    Method(
        name="apo_down",
        loss=pairs.apo_down,
        reads=REFERRED,
        defaults={"beta": 0.1},
        defaults_from="TRL",
        paper=Paper(_APO, "arXiv:2408.06266", "equation 8"),
    ),
    Method(
        name="npo",
        loss=pairs.npo,
        reads=REFERRED,
        defaults={"beta": 0.1},
        defaults_from="K-high",
        paper=Paper(
            "Negative Preference Optimization: From Catastrophic Collapse to Unlearning",
            "arXiv:2404.05868",
            "equation 3",
        ),
    ),
    Method(
        name="kto",
        loss=pairs.kto,
        reads=(*REFERRED, read_mismatched),
        defaults={"beta": 0.1, "gain": 1.0, "loss": 1.0},
        defaults_from="TRL",
        paper=Paper(
            "KTO: Model Alignment as Prospect Theoretic Optimization",
            "arXiv:2402.01306",
            "equation 7",
        ),
    ),
    Method(
        name="bco",
        loss=pairs.bco,
        reads=REFERRED,
        defaults={"beta": 0.1},
        defaults_from="TRL",
        begins=_origin,
        learns=pairs.bco_memory,
        paper=Paper(
            "Binary Classifier Optimization for Large Language Model Alignment",
            "arXiv:2404.04656",
            "BCO loss with reward shift",
        ),
    ),
    # Pairs without a reference.
    Method(
        name="sft",
        loss=pairs.sft,
        reads=ALONE,
        defaults_from="no setting",
        paper=Paper(
            "Training Language Models to Follow Instructions with Human Feedback",
            "arXiv:2203.02155",
            "section 3.5, supervised fine-tuning",
        ),
    ),
    Method(
        name="cpo_contrastive",
        loss=pairs.cpo_contrastive,
        reads=ALONE,
        defaults={"beta": 0.1, "alpha": 1.0},
        defaults_from="TRL",
        paper=Paper(
            "Contrastive Preference Optimization: LLM Performance in Machine Translation",
            "arXiv:2401.08417",
            "equation 3",
        ),
    ),
    Method(
        name="simpo",
        loss=pairs.simpo,
        reads=ALONE,
        defaults={"beta": 2.5, "gamma": 0.5},
        defaults_from="REPO zeng-yirong/iTool",
        paper=Paper(
            "SimPO: Simple Preference Optimization with a Reference-Free Reward",
            "arXiv:2405.14734",
            "equation 6",
        ),
    ),
    Method(
        name="orpo",
        loss=pairs.orpo,
        reads=ALONE,
        defaults={"beta": 0.1},
        defaults_from="TRL",
        paper=Paper(
            "ORPO: Monolithic Preference Optimization without Reference Model",
            "arXiv:2403.07691",
            "equations 6 and 7",
        ),
    ),
    Method(
        name="power",
        loss=pairs.power,
        reads=ALONE,
        defaults={"beta": 1.0, "eta": 0.05, "length_power": 1.0},
        defaults_from="OURS (repository not found)",
        paper=Paper(_POWER, "arXiv:2412.09544", "POWER objective"),
    ),
    # Pairs with a demand of their own.
    Method(
        name="cpo_constrained",
        loss=pairs.cpo_constrained,
        reads=REFERRED,
        defaults={"beta": 2.5, "alpha": 1.0, "gamma": 0.5, "tau": 2.0},
        defaults_from="REPO visitworld123/CPO; beta is its demo's",
        paper=Paper(_CPO, "arXiv:2605.20834", "CPO loss"),
    ),
    Method(
        name="cpo_clip",
        loss=pairs.cpo_clip,
        reads=REFERRED,
        defaults={"beta": 2.5},
        defaults_from="REPO visitworld123/CPO, demo",
        paper=Paper(_CPO, "arXiv:2605.20834", "clip variant"),
    ),
    Method(
        name="cpo_easy",
        loss=pairs.cpo_easy,
        reads=REFERRED,
        defaults={"beta": 2.5, "gamma": 0.05},
        defaults_from="REPO visitworld123/CPO, demo; the floor's sign is in doubt",
        paper=Paper(_CPO, "arXiv:2605.20834", "E-CPOC, without reward model"),
    ),
    Method(
        name="rpo",
        loss=pairs.rpo,
        reads=REFERRED,
        defaults={"beta": 0.01, "eta": 0.005},
        defaults_from="REPO YSLIU627/Regularized-Preference-Optimization",
        paper=Paper(
            "Provably Mitigating Overoptimization: Your SFT Loss is a Regularizer",
            "arXiv:2405.16436",
            "RPO loss; rpo_trainer.py",
        ),
    ),
    Method(
        name="ra_dpo",
        loss=pairs.dpo,
        reads=REFERRED,
        prepares=goal_relabelled,
        defaults={"beta": 0.01, "ratios": log_ratios},
        defaults_from="REPO shenao-zhang/reward-augmented-preference",
        paper=Paper(
            "Reward-Augmented Data Enhances Direct Preference Alignment of LLMs",
            "arXiv:2410.08067",
            "scripts/reward_augmentation.py",
        ),
    ),
    # Labels that may be wrong, soft, or somebody's.
    Method(
        name="osp",
        loss=pairs.osp,
        reads=REFERRED,
        samplers=partial(itself, count=2),
        defaults={"beta": 0.1},
        defaults_from="K-low",
        paper=Paper("Online Self-Preferring Language Models", "arXiv:2405.14103", "SPCE loss"),
    ),
    Method(
        name="repo",
        loss=pairs.repo,
        reads=REFERRED,
        defaults={
            "base": partial(pairs.dpo, beta=0.1),
            "annotators": 1,
            "start": 0.9,
            "rate": 0.1,
        },
        defaults_from="NOTE (two summaries); beta is TRL's",
        begins=_reliability,
        learns=pairs.repo_memory,
        paper=Paper(
            "Latent Collective Preference Optimization (RE-PO)", "arXiv:2509.24159", "E- and M-step"
        ),
    ),
    Method(
        name="power_dl",
        loss=pairs.power_dl,
        reads=ALONE,
        defaults={"beta": 1.0, "eta": 0.05, "length_power": 1.0, "rows": 1, "rate": 0.02},
        defaults_from="OURS (repository not found; rate as in our pilot)",
        begins=_labels,
        learns=pairs.power_dl_memory,
        paper=Paper(_POWER, "arXiv:2412.09544", "dynamic labels"),
    ),
    # Games.
    Method(
        name="online_ipo",
        loss=pairs.online_ipo,
        reads=REFERRED,
        samplers=partial(itself, count=2),
        defaults={"tau": 0.1},
        defaults_from="K-med (swept 0.01 to 1)",
        paper=Paper(_ONLINE, "arXiv:2403.08635", "online IPO"),
    ),
    Method(
        name="ipo_md",
        loss=pairs.online_ipo,
        reads=REFERRED,
        samplers=partial(mixture, count=2, share=0.125),
        defaults={"tau": 0.1},
        defaults_from="K-med (share 0.125 to 0.25)",
        paper=Paper(_ONLINE, "arXiv:2403.08635", "IPO-MD"),
    ),
    Method(
        name="nash_md",
        loss=pairs.nash_md,
        reads=REFERRED,
        samplers=partial(against_mixture, share=0.125),
        defaults={"tau": 0.1},
        defaults_from="K-med; TRL's mixture_coef is 0.5",
        paper=Paper("Nash Learning from Human Feedback", "arXiv:2312.00886", "Nash-MD-PG"),
    ),
    Method(
        name="inpo",
        loss=pairs.inpo,
        reads=PAST,
        samplers=partial(itself, count=2),
        defaults={"eta": 1.0, "tau": 0.1},
        defaults_from="OURS",
        paper=Paper(
            "Iterative Nash Policy Optimization: Aligning LLMs via No-Regret Learning",
            "arXiv:2407.00617",
            "INPO loss",
        ),
    ),
    Method(
        name="mnpo",
        loss=pairs.mnpo,
        reads=PAST,
        samplers=partial(itself, count=2),
        defaults={"share": 1 / 3, "eta": 0.0075, "past": (1.0, 0.0)},
        defaults_from="REPO smiles724/MNPO",
        paper=Paper(
            "Multiplayer Nash Preference Optimization",
            "arXiv:2509.23102",
            "mnpo_trainer.py, mnpo_loss",
        ),
    ),
    # Lists.
    Method(
        name="all_pairs",
        loss=lists.all_pairs,
        reads=REFERRED,
        defaults={"beta": 0.05},
        defaults_from="K-med",
        paper=Paper(_LIPO, "arXiv:2402.01878", "pairwise logistic"),
    ),
    Method(
        name="lipo_lambda",
        loss=lists.lipo_lambda,
        reads=REFERRED,
        defaults={"beta": 0.05},
        defaults_from="K-med",
        paper=Paper(_LIPO, "arXiv:2402.01878", "lambda loss"),
    ),
    Method(
        name="listmle",
        loss=lists.listmle,
        reads=REFERRED,
        defaults={"beta": 0.05},
        defaults_from="K-med",
        paper=Paper(_LIPO, "arXiv:2402.01878", "list-MLE"),
    ),
    Method(
        name="softmax",
        loss=lists.softmax,
        reads=REFERRED,
        defaults={"beta": 0.05},
        defaults_from="K-med",
        paper=Paper(_LIPO, "arXiv:2402.01878", "softmax cross-entropy"),
    ),
    Method(
        name="pro",
        loss=lists.pro,
        reads=ALONE,
        defaults={"sft": 0.05},
        defaults_from="REPO AlibabaResearch/DAMO-ConvAI",
        paper=Paper(
            "Preference Ranking Optimization for Human Alignment",
            "arXiv:2306.17492",
            "process_manager.py, compute_loss",
        ),
    ),
    Method(
        name="trpa",
        loss=lists.trpa,
        reads=FRESH_REFERRED,
        samplers=partial(itself, count=16),
        defaults={"beta": 0.1, "emphasis": 2.5, "top": -1.0, "kl": 1e-3},
        defaults_from="REPO XueruiSu/Trust-Region-Preference-Approximation; scores are -level",
        paper=Paper(
            "Trust Region Preference Approximation",
            "arXiv:2504.04524",
            "core_algos.py, compute_pairwise_policy_loss",
        ),
    ),
    # Rewards.
    Method(
        name="copg",
        loss=lists.copg,
        reads=REFERRED,
        defaults={"beta": 0.1},
        defaults_from="K-low (0.03 to 0.1)",
        paper=Paper(
            "Contrastive Policy Gradient: Aligning LLMs on Sequence-Level Scores",
            "arXiv:2406.19185",
            "contrastive objective, squared form",
        ),
    ),
    Method(
        name="reinforce",
        loss=lists.unanchored,
        reads=REFERRED,
        samplers=partial(itself, count=4),
        defaults={"beta": 0.05},
        defaults_from="as rloo",
        paper=Paper(
            "Simple Statistical Gradient-Following Algorithms",
            "https://doi.org/10.1007/BF00992696",
            "REINFORCE, baseline zero",
        ),
    ),
    Method(
        name="rloo",
        loss=lists.rloo,
        reads=REFERRED,
        samplers=partial(itself, count=4),
        defaults={"beta": 0.05},
        defaults_from="K-med",
        paper=Paper(
            "Back to Basics: Revisiting REINFORCE Style Optimization",
            "arXiv:2402.14740",
            "RLOO estimator",
        ),
    ),
    Method(
        name="maxmin",
        loss=lists.maxmin,
        reads=REFERRED,
        samplers=partial(itself, count=4),
        defaults={"beta": 0.1},
        defaults_from="OURS (as in our pilot)",
        paper=Paper(
            "MaxMin-RLHF: Alignment with Diverse Human Preferences",
            "arXiv:2402.08925",
            "max-min objective",
        ),
    ),
    Method(
        name="grpo",
        loss=lists.grpo,
        reads=FRESH_REFERRED,
        samplers=partial(itself, count=8),
        defaults={"clip": 0.2, "beta": 0.0, "floor": 1e-4},
        defaults_from="TRL (the paper's beta is 0.04)",
        paper=Paper(
            "DeepSeekMath: Pushing the Limits of Mathematical Reasoning",
            "arXiv:2402.03300",
            "equation 3",
        ),
    ),
    Method(
        name="gspo",
        loss=lists.gspo,
        reads=FRESH,
        samplers=partial(itself, count=8),
        defaults={"clip": 3e-4, "floor": 1e-4},
        defaults_from="K-med (the paper clips 3e-4 below and 4e-4 above)",
        paper=Paper("Group Sequence Policy Optimization", "arXiv:2507.18071", "GSPO objective"),
    ),
    Method(
        name="r2vpo",
        loss=lists.r2vpo,
        reads=FRESH,
        samplers=partial(itself, count=8),
        defaults={"floor": 1e-4, "budget": 0.04, "rate": 0.1, "start": 1.0},
        defaults_from="budget K-low; rate and start OURS",
        begins=_price,
        learns=lists.r2vpo_memory,
        paper=Paper(
            "Ratio-Variance Regularised Policy Optimization",
            "arXiv:2601.03320",
            "primal-dual objective",
        ),
    ),
    # Teachers.
    Method(
        name="dckd",
        loss=lists.dckd,
        reads=TAUGHT,
        defaults={"sft": 1.0, "liked": 1.0, "disliked": 1.0},
        defaults_from="K-low",
        paper=Paper(
            "Advantage-Guided Distillation for Preference Alignment", "arXiv:2502.17927", "DCKD"
        ),
    ),
    Method(
        name="adpa",
        loss=lists.adpa,
        reads=TAUGHT,
        defaults={"sft": 1.0, "advantage": 1.0, "count": 50},
        defaults_from="K-low; count OURS",
        paper=Paper(
            "Advantage-Guided Distillation for Preference Alignment", "arXiv:2502.17927", "ADPA"
        ),
    ),
    Method(
        name="opd",
        loss=lists.opd,
        reads=TAUGHT,
        samplers=partial(itself, count=1),
        defaults={"count": 50},
        defaults_from="REPO ulab-uiuc/Open-On-Policy-Distillation",
        paper=Paper(
            "The Many Faces of On-Policy Distillation", "arXiv:2605.11182", "stop-gradient top-k"
        ),
    ),
    Method(
        name="kepo",
        loss=lists.kepo,
        reads=TAUGHT,
        samplers=partial(itself, count=8),
        defaults={"floor": 1e-4, "share": 0.5, "least": 1.0, "weight": 1.0},
        defaults_from="REPO Corleno/KEPO",
        paper=Paper("KEPO", "arXiv:2602.00400", "compute_loss"),
    ),
)

METHODS: Mapping[str, Method] = MappingProxyType({row.name: row for row in _ROWS})
