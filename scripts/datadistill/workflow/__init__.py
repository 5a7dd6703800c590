"""From the config to what Snakemake makes: experiments, targets, paths, cost. Light: Snakemake imports it while it parses."""
