"""Every path of a run is built here, for rules and tests alike. All are relative to the working directory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paths:
    """The paths of one run. Arguments are names from the registry, or Snakemake wildcards in braces."""

    run: str
    root: str = "results"

    @property
    def base(self) -> str:
        return f"{self.root}/{self.run}"

    def split(self, split: str = "{split}") -> str:
        return f"{self.base}/splits/{split}.json"

    def split_ledger(self, split: str = "{split}") -> str:
        return f"{self.base}/splits/{split}.ledger.json"

    def split_images(self, split: str = "{split}") -> str:
        """Folder of a split's images: its rule made it (rendered, or sampled from videos), or it is a link to the user's."""
        return f"{self.base}/images/{split}"

    def split_source(self, split: str = "{split}") -> str:
        """Where a split's files lie and how they are checked: no result depends on it, so no rule declares it."""
        return f"{self.sources}/{split}.json"

    @property
    def sources(self) -> str:
        return f"{self.base}/sources"

    def weights_source(self, weights: str = "{weights}") -> str:
        """Where weights come from, and the networks of this run that start from them: a note, like a split's."""
        return f"{self.sources}/weights/{weights}.json"

    def scene_annotations(self, split: str = "{split}") -> str:
        """What the renderer says of its scenes, before the images are checked."""
        return f"{self.base}/images/{split}.json"

    def clips(self, split: str = "{split}") -> str:
        """Folder of the rendered clips that a split's frames are sampled from."""
        return f"{self.base}/clips/{split}"

    def fetched(self, download: str = "{download}") -> str:
        """The record of a download, shared by all runs; what it brought lies in the data root."""
        return f"{self.root}/downloads/{download}.json"

    def model(self, model: str = "{model}") -> str:
        return f"{self.base}/models/{model}/model.pth"

    def metrics(self, model: str = "{model}") -> str:
        return f"{self.base}/models/{model}/metrics.jsonl"

    def drawn(self, model: str = "{model}") -> str:
        return f"{self.base}/models/{model}/drawn.json"

    def duplicates(self) -> str:
        return f"{self.base}/duplicates/report.json"

    def leaks(self, model: str = "{model}") -> str:
        return f"{self.base}/models/{model}/leaks.json"

    def checkpoint(self, model: str = "{model}") -> str:
        """No rule declares it: Snakemake would delete it when training fails."""
        return f"{self.base}/checkpoints/{model}.pth"

    def predictions(
        self, predictions: str = "{predictions}", shard: int | str = "{shard}", shards: int | str = "{shards}"
    ) -> str:
        return f"{self.base}/predictions/{predictions}/{shard}-of-{shards}.npz"

    def gate(self, gate: str = "{gate}") -> str:
        return f"{self.base}/gates/{gate}.json"

    def refinement(
        self, refinement: str = "{refinement}", shard: int | str = "{shard}", shards: int | str = "{shards}"
    ) -> str:
        return f"{self.base}/refinements/{refinement}/{shard}-of-{shards}.npz"

    def labels(self, label_set: str = "{label_set}", file: str = "annotations.json") -> str:
        """`file`: annotations.json, thresholds.json, provenance.json, quality.json or quality.md."""
        return f"{self.base}/labels/{label_set}/{file}"

    def evaluation(self, evaluation: str = "{evaluation}") -> str:
        return f"{self.base}/evaluations/{evaluation}.json"

    def table(self, table: str = "{table}", suffix: str = "md") -> str:
        return f"{self.base}/tables/{table}.{suffix}"

    def figure(self, figure: str = "{figure}", suffix: str = "png") -> str:
        return f"{self.base}/figures/{figure}.{suffix}"

    def preview(self, split: str = "{split}", suffix: str = "png") -> str:
        """A picture of a split's keypoints beside their mirror images."""
        return f"{self.base}/previews/{split}.{suffix}"

    @property
    def tables_so_far(self) -> str:
        """Folder of tables of which perhaps only some rows were run."""
        return f"{self.base}/tables-so-far"

    def page(self, page: str = "{page}", suffix: str = "html") -> str:
        """A page of the report: `page` is tables/NAME, labels/ID/FILE or run-times."""
        return f"{self.base}/{page}.{suffix}"

    def run_times(self) -> str:
        return self.page("run-times", "md")

    def figure_data(self, figure: str = "{figure}") -> str:
        return f"{self.base}/figures/data/{figure}.json"

    def weights(self, weights: str = "{weights}") -> str:
        """Initial weights, shared by all runs. `weights` is a backbone, or backbone@release; never a part of a user's path."""
        return f"{self.root}/weights/{weights}.weights"

    def weights_record(self, weights: str = "{weights}") -> str:
        """What is known of initial weights. No rule declares it: Snakemake would delete it."""
        return f"{self.root}/weights/{weights}.json"

    def weights_check(self, weights: str = "{weights}", network: str = "{network}") -> str:
        """That a network of this run, by its digest, can start from initial weights."""
        return f"{self.base}/weights/{weights}/{network}.json"

    def log(self, rule: str, *names: str) -> str:
        return f"{self.base}/logs/{rule}/{'/'.join(names) or 'log'}.log"

    @property
    def benchmarks(self) -> str:
        return f"{self.base}/benchmarks"

    def benchmark(self, rule: str, *names: str) -> str:
        return f"{self.base}/benchmarks/{rule}/{'/'.join(names) or 'all'}.tsv"
