package cli

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ckpt-go/ckpt"
)

// pruneFlags are the rules.
type pruneFlags struct {
	keep      int
	steps     int64
	best      []string
	name      string
	all, dry  bool
	level     ckpt.Level
	levelText string
}

func newPrune(s *call) *cobra.Command {
	f := new(pruneFlags)
	c := &cobra.Command{
		Use:   "prune --keep N DIR",
		Short: "Remove old checkpoints of a directory",
		Long: `Remove the checkpoints of a directory that no rule keeps: retention by hand. A
checkpoint stays if any of the rules keeps it, if it is pinned, or if it was left for
another branch; the newest good one always does. The newest is verified first: damaged
ones are not counted, and if none is good nothing is removed. Nothing is removed either
while a program saves into the directory. Looked after are the checkpoints that the
state file lists, or with --all every one of the name.

-n tells what would be done, and why, and does nothing.`,
		Example: `  ckpt prune -n --keep 3 model
  ckpt prune --keep 3 --keep-best accuracy:high:2 --keep-every-steps 10000 model`,
		Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("keep") || f.keep < 1 {
				return usage(cmd, "--keep N is needed, at least 1")
			}
			if err := f.level.UnmarshalText([]byte(f.levelText)); err != nil {
				return usage(cmd, "%s", err)
			}
			o, err := f.options()
			if err != nil {
				return usage(cmd, "%s", err)
			}
			return runPrune(cmd.Context(), s, args[0], o, f)
		},
	}
	flags := c.Flags()
	flags.IntVar(&f.keep, "keep", 0, "keep the newest N")
	flags.Int64Var(&f.steps, "keep-every-steps", 0, "keep those whose step is a multiple of N")
	flags.StringArrayVar(&f.best, "keep-best", nil, "keep the best by a metric: METRIC[:high|:low][:N], low and 1 by default")
	flags.StringVar(&f.name, "name", "ckpt", "what the names of the checkpoints begin with")
	flags.BoolVar(&f.all, "all", false, "look after every checkpoint of the name, not only those the state file lists")
	flags.StringVar(&f.levelText, "level", "all", "how the newest is verified: all, index or names")
	flags.BoolVarP(&f.dry, "dry-run", "n", false, "tell what would be done, and do nothing")
	return c
}

func (f *pruneFlags) options() (*ckpt.ManagerOptions, error) {
	o := &ckpt.ManagerOptions{MaxToKeep: f.keep, KeepEverySteps: f.steps, Name: f.name}
	if f.steps < 0 {
		return nil, fmt.Errorf("--keep-every-steps must not be negative")
	}
	if f.all {
		o.Adopt = ckpt.AdoptAll
	}
	for _, text := range f.best {
		parts := strings.Split(text, ":")
		b := ckpt.Best{Metric: parts[0], Count: 1}
		for _, part := range parts[1:] {
			n, err := strconv.Atoi(part)
			switch {
			case part == "high" || part == "low":
				b.Highest = part == "high"
			case err == nil && n > 0:
				b.Count = n
			default:
				return nil, fmt.Errorf("--keep-best %s: want METRIC[:high|:low][:N]", text)
			}
		}
		if b.Metric == "" {
			return nil, fmt.Errorf("--keep-best %s: want METRIC[:high|:low][:N]", text)
		}
		o.KeepBest = append(o.KeepBest, b)
	}
	return o, nil
}

func runPrune(ctx context.Context, s *call, dir string, o *ckpt.ManagerOptions, f *pruneFlags) error {
	if err := isDirectory(ctx, dir); err != nil {
		return err
	}
	o.Logger = slog.New(slog.DiscardHandler)
	m, err := ckpt.NewManager(ckpt.New(nil), dir, o)
	if err != nil {
		return err
	}
	verdicts, err := m.Prune(ctx, &ckpt.PruneOptions{DryRun: f.dry, Level: f.level})
	if closeErr := m.Close(); err == nil {
		err = closeErr
	}
	if verdicts == nil {
		return err
	}
	if s.json {
		if printErr := s.printJSON(pruneDocument(m, verdicts, f.dry)); printErr != nil {
			return printErr
		}
		return err
	}
	table := &columns{right: []bool{false, false, false}}
	for _, v := range verdicts {
		table.add(v.Action.String(), printable(joined(m, v.Name)), strings.Join(v.Reasons, "; "))
	}
	if printErr := table.print(s.out); printErr != nil {
		return printErr
	}
	return err
}

// isDirectory says what a path is that is no directory of checkpoints.
func isDirectory(ctx context.Context, dir string) error {
	_, err := ckpt.ListDirectory(ctx, dir, &ckpt.VerifyOptions{Level: ckpt.LevelNames})
	return err
}

// joined is the prefix of a checkpoint of a directory.
func joined(m *ckpt.Manager, name string) string {
	if strings.HasSuffix(m.Directory(), "/") {
		return m.Directory() + name
	}
	return m.Directory() + "/" + name
}

type jsonVerdict struct {
	jsonPrefix
	Action  string   `json:"action"`
	Reasons []string `json:"reasons"`
}

func pruneDocument(m *ckpt.Manager, verdicts []ckpt.Verdict, dry bool) any {
	doc := struct {
		Schema      int           `json:"schema"`
		DryRun      bool          `json:"dry_run"`
		Checkpoints []jsonVerdict `json:"checkpoints"`
	}{Schema: schema, DryRun: dry, Checkpoints: []jsonVerdict{}}
	for _, v := range verdicts {
		doc.Checkpoints = append(doc.Checkpoints, jsonVerdict{prefixOf(joined(m, v.Name)), v.Action.String(), v.Reasons})
	}
	return doc
}
