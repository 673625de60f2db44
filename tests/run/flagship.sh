# tags: [unit] [recipe]
# recipes/llama13b_nrms_gpt.toml resolves to what the paper and the code of its time say, line by line (docs/fidelity.md).
# usage: flagship.sh TREE BUILD
set -u
cd "$1" || exit 1
"$2/bin/oncekit" run recipes/llama13b_nrms_gpt.toml --print --json | python3 -c '
import json, sys
found = {key: entry["value"] for key, entry in json.load(sys.stdin).items()}
expected = {
    # the result of the paper
    "expect.\"paper/test/auc\"": 0.6874, "expect.\"paper/test/lrap\"": 0.3666, "expect.\"paper/test/ndcg@5\"": 0.386, "expect.\"paper/test/ndcg@10\"": 0.4437,
    # data
    "dataset.use": "mind", "dataset.split": "released", "dataset.split_list": "mind_imp_list.json", "dataset.history_per": "user_first",
    "dataset.history_limit": 30, "dataset.history_keep": "newest", "dataset.empty_history": "drop", "expect.items": 65238, "expect.users": 94057,
    # augmenters
    "augment": ["summary", "profile", "chain"],
    "augmenter.summary.use": "gpt_summarizer", "augmenter.summary.kind": "news", "augmenter.summary.into": "", "content_encoder.max_tokens": [25],
    "augmenter.profile.use": "gpt_profiler", "augmenter.profile.clicks_at_least": 1, "augmenter.profile.clicks_at_most": 5, "augmenter.profile.use_in_model": False,
    "augmenter.chain.use": "gpt_generator", "augmenter.chain.clicks_at_least": 1, "augmenter.chain.clicks_at_most": 5, "augmenter.chain.draws": 2,
    "augmenter.chain.use_regions": False, "augmenter.chain.others": "others", "answers.imports": "use", "answers.imports_saw": "history",
    # content encoder
    "content_encoder.use": "llama", "content_encoder.weights": "llama1-13b", "content_encoder.lead": "News article:", "content_encoder.attributes": ["title", "category"],
    "content_encoder.tune_layers": 0, "content_encoder.layers": 0, "content_encoder.layer_cut": "exact", "content_encoder.pooling": "attention",
    "content_encoder.attention_width": 0, "content_encoder.attention": "causal", "model.width": 64,
    # user encoder and interaction
    "user_encoder.use": "nrms", "user_encoder.heads": 8, "user_encoder.dropout": 0.1, "user_encoder.attention_width": 256, "interaction.use": "dot",
    # training
    "train.loss": "softmax", "train.negatives": 4, "train.negative_pool": "user_first", "train.short_pool": "random", "train.optimizer": "adam",
    "train.weight_decay": 0.0, "train.clip": 0.0, "train.lr": 0.001, "train.batch_size": 32, "train.accumulate": 2, "train.epochs": 50.0,
    "train.check_every": 0.25, "train.patience": 2, "train.monitor": "auc", "train.warmup": 0.0, "train.schedule": "linear", "train.schedule_epochs": 50.0,
    # evaluation
    "evaluate.metrics": ["auc", "lrap", "ndcg@5", "ndcg@10"], "evaluate.group": "dataset", "dataset.group": "impression", "recipe.fidelity": "paper"}
wrong = [f"{key} is {found.get(key, None)!r}, expected {value!r}" for key, value in expected.items() if found.get(key) != value]
print("\n".join(wrong) or f"ok   {len(expected)} values as the paper and the code of its time have them")
sys.exit(bool(wrong))'
