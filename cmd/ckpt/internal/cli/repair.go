package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/edit"
)

// repairFlags are those of repair, with and without --state.
type repairFlags struct {
	to                 string
	from               []string
	partial, risk, dry bool
	state, all         bool
	levelText          string
	level              ckpt.Level
}

func newRepair(s *call) *cobra.Command {
	f := new(repairFlags)
	c := &cobra.Command{
		Use:   "repair PREFIX --to NEW | repair --state DIR",
		Short: "Write a damaged checkpoint anew, or a state file",
		Long: `Write a new checkpoint with all that can be had of a damaged one, which is only read.
What is intact is copied byte for byte. A damaged tensor is taken from another checkpoint
of the folder, or from those given with --from, where name, dtype, shape and recorded
CRC-32C are equal; or one bit is flipped back if a SHA-256 recorded in PREFIX.meta.json
confirms it. What cannot be repaired is an error (3), and nothing is written, unless
--partial leaves it out. The new checkpoint is read back before it can be seen, and its
metadata says what was done.

--accept-risk flips a bit back where only the CRC-32C tells which, in tensors of at most
1 MiB: other damage may look like that. The metadata and the output say how likely.

With --state the state file of a directory is written anew: it lists the checkpoints that
are good, the newest as the latest. The old file is kept as checkpoint.old.

-n tells what would be done, and does nothing.`,
		Example: `  ckpt repair -n model/ckpt-7 --to model/repaired-7
  ckpt repair model/ckpt-7 --to model/repaired-7 --from backup/ckpt-7
  ckpt repair model/ckpt-7 --to model/repaired-7 --partial
  ckpt repair --state model`,
		Args: exactly("PREFIX or DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			if f.state {
				return runRestate(cmd.Context(), s, args[0], f)
			}
			return runRepair(cmd.Context(), s, args[0], f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.to, "to", "", "the prefix of the new checkpoint, which must be free")
	flags.StringArrayVar(&f.from, "from", nil, "a checkpoint to take tensors from; may be given several times")
	flags.BoolVar(&f.partial, "partial", false, "leave out what cannot be repaired")
	flags.BoolVar(&f.risk, "accept-risk", false, "flip a bit back though only a CRC-32C tells which")
	flags.BoolVar(&f.state, "state", false, "write the state file of a directory anew")
	flags.BoolVar(&f.all, "all", false, "with --state: list every good checkpoint")
	flags.StringVar(&f.levelText, "level", "all", "with --state: how much to look at: all, index, or names")
	flags.BoolVarP(&f.dry, "dry-run", "n", false, "tell what would be done, and do nothing")
	return c
}

// check refuses flags that do not go together.
func (f *repairFlags) check(cmd *cobra.Command) error {
	if err := f.level.UnmarshalText([]byte(f.levelText)); err != nil {
		return usage(cmd, "%s", err)
	}
	own := []string{"to", "from", "partial", "accept-risk"}
	if !f.state {
		own = []string{"all", "level"}
	}
	for _, name := range own {
		if cmd.Flags().Changed(name) {
			return usage(cmd, "--%s does not go with %s", name, map[bool]string{true: "--state", false: "a repair without --state"}[f.state])
		}
	}
	if !f.state && (f.to == "" || strings.HasSuffix(f.to, "/")) {
		return usage(cmd, "--to NEW is needed, the prefix of the new checkpoint")
	}
	return nil
}

func runRepair(ctx context.Context, s *call, path string, f *repairFlags) error {
	prefix, err := ckpt.ResolvePath(ctx, path)
	if err != nil {
		return err
	}
	o := &edit.RepairOptions{FollowLinks: s.links, AllowPartial: f.partial, AcceptRisk: f.risk, DryRun: f.dry}
	for _, from := range f.from {
		donor, err := ckpt.ResolvePath(ctx, from)
		if err != nil {
			return err
		}
		o.Donors = append(o.Donors, donor)
	}
	r, err := edit.Repair(ctx, prefix, f.to, o)
	if err != nil {
		err = &flagsError{err}
	}
	if r.Index.How == "" { // it did not come far enough to say anything
		return err
	}
	if s.json {
		if printErr := s.printJSON(repairDocument(r, f.dry, err == nil && !f.dry)); printErr != nil {
			return printErr
		}
		return err
	}
	if printErr := printRepaired(s, r, f.dry, err == nil); printErr != nil {
		return printErr
	}
	return err
}

// flagsError speaks of flags where the library speaks of options.
type flagsError struct{ err error }

func (e *flagsError) Error() string { return flagWords(e.err.Error()) }

// Unwrap gives what the library says.
func (e *flagsError) Unwrap() error { return e.err }

func flagWords(text string) string {
	return strings.NewReplacer("AcceptRisk", "--accept-risk", "AllowPartial", "--partial").Replace(text)
}

func printRepaired(s *call, r *edit.Repaired, dry, done bool) error {
	table := &columns{right: []bool{false, false, false}}
	if r.Index.How != edit.Intact {
		table.add(string(r.Index.How), "(index)", fateText(r.Index.Donor, r.Index.Flips, r.Index.Chance, lostText(&r.Index)))
	}
	for _, t := range r.Tensors {
		table.add(string(t.How), printable(t.Name), fateText(t.Donor, t.Flips, t.Chance, flagWords(sanitize(t.Help))))
	}
	if err := table.print(s.out); err != nil {
		return err
	}
	for name, p := range map[string]*ckpt.CorruptError{"metadata": r.MetadataProblem, "donor": r.DonorProblem} {
		if p == nil {
			continue
		}
		if err := s.say("ckpt: %s: %s", name, problemText(p)); err != nil {
			return err
		}
	}
	if !done {
		return nil
	}
	left, verb := len(r.LeftOut()), "written"
	if dry {
		verb = "would be written"
	}
	text := fmt.Sprintf("%s: %s: %s intact, %d repaired, %d left out", printable(r.To), verb, plural(r.Intact, "tensor"), len(r.Tensors)-left, left)
	if r.Identical {
		text += "; every file has its recorded SHA-256"
	}
	_, err := s.out.WriteString(text + "\n")
	return err
}

// lostText says what is lost of an index.
func lostText(r *edit.IndexRepair) string {
	if len(r.Lost) == 0 {
		return ""
	}
	return fmt.Sprintf("%s lost: %s", plural(len(r.Lost), "part"), problemText(r.Lost[0]))
}

// fateText says where something comes from.
func fateText(donor string, flips []ckpt.Flip, chance float64, help string) string {
	var parts []string
	if donor != "" {
		parts = append(parts, "from "+printable(donor))
	}
	for i := range flips {
		parts = append(parts, flips[i].String())
	}
	if chance > 0 {
		parts = append(parts, fmt.Sprintf("wrong for %.2g %% of damage to an odd number of bits", 100*chance))
	}
	if help != "" {
		parts = append(parts, cutMiddle(help))
	}
	return strings.Join(parts, "; ")
}

func repairDocument(r *edit.Repaired, dry, written bool) any {
	type fate struct {
		How      edit.How   `json:"how"`
		Donor    *string    `json:"donor"`
		DonorB64 *string    `json:"donor_b64,omitempty"`
		Flips    []jsonFlip `json:"flips"`
		Chance   *float64   `json:"chance"`
	}
	fateOf := func(how edit.How, donor string, flips []ckpt.Flip, chance float64) fate {
		f := fate{How: how, Flips: flipsOf(flips)}
		if donor != "" {
			f.Donor, f.DonorB64 = utf8Text(donor)
		}
		if how == edit.AtRisk {
			f.Chance = &chance
		}
		return f
	}
	type index struct {
		fate
		Lost []jsonProblem `json:"lost"`
	}
	type repaired struct {
		jsonName
		fate
		Problem jsonProblem `json:"problem"`
		Help    string      `json:"help,omitempty"`
	}
	type to struct {
		To    *string `json:"to,omitempty"`
		ToB64 *string `json:"to_b64,omitempty"`
	}
	doc := struct {
		Schema int `json:"schema"`
		jsonPrefix
		to
		DryRun    bool       `json:"dry_run"`
		Written   bool       `json:"written"`
		Complete  bool       `json:"complete"`
		Identical bool       `json:"identical"`
		Index     index      `json:"index"`
		Intact    int        `json:"intact"`
		Tensors   []repaired `json:"tensors"`
	}{
		Schema: schema, jsonPrefix: prefixOf(r.From), DryRun: dry, Written: written, Complete: r.Complete(), Identical: r.Identical,
		Index:  index{fateOf(r.Index.How, r.Index.Donor, r.Index.Flips, r.Index.Chance), problemsOf(r.Index.Lost)},
		Intact: r.Intact, Tensors: []repaired{},
	}
	doc.To, doc.ToB64 = utf8Text(r.To)
	for _, t := range r.Tensors {
		doc.Tensors = append(doc.Tensors, repaired{
			nameOf(t.Name), fateOf(t.How, t.Donor, t.Flips, t.Chance), problemsOf([]*ckpt.CorruptError{t.Problem})[0], flagWords(t.Help),
		})
	}
	return doc
}

func runRestate(ctx context.Context, s *call, dir string, f *repairFlags) error {
	if err := isDirectory(ctx, dir); err != nil && !errors.Is(err, ckpt.ErrCorrupt) {
		return err
	}
	p := newProgress(s)
	r, err := edit.RebuildState(ctx, dir, &edit.StateOptions{FollowLinks: s.links, Level: f.level, All: f.all, DryRun: f.dry, Progress: p.report})
	p.clear()
	if err != nil && !s.json {
		for _, k := range r.Skipped {
			if err := s.say("ckpt: not listed: %s: %s", printable(k.Name), skippedText(&k)); err != nil {
				return err
			}
		}
	}
	if r.State == nil || err != nil {
		return err
	}
	if s.json {
		return s.printJSON(stateDocument(r, f.dry))
	}
	for _, k := range r.Skipped {
		if err := s.say("ckpt: not listed: %s: %s", printable(k.Name), skippedText(&k)); err != nil {
			return err
		}
	}
	if r.Old != "" {
		verb := "was"
		if f.dry {
			verb = "would be"
		}
		if err := s.say("ckpt: the old file %s kept as %s", verb, printable(r.Old)); err != nil {
			return err
		}
	}
	_, err = s.out.Write(r.State.AppendText(nil))
	return err
}

func skippedText(k *edit.Skipped) string {
	if len(k.Problems) == 0 {
		return k.Reason
	}
	return k.Reason + ": " + cutMiddle(problemText(k.Problems[0]))
}

func stateDocument(r *edit.RebuiltState, dry bool) any {
	type skipped struct {
		jsonName
		Reason   string        `json:"reason"`
		Problems []jsonProblem `json:"problems"`
	}
	type listed struct {
		jsonName
		Timestamp *float64 `json:"timestamp"`
	}
	doc := struct {
		Schema      int       `json:"schema"`
		DryRun      bool      `json:"dry_run"`
		Written     bool      `json:"written"`
		Old         *string   `json:"old"`
		Latest      string    `json:"latest"`
		Checkpoints []listed  `json:"checkpoints"`
		Skipped     []skipped `json:"skipped"`
	}{Schema: schema, DryRun: dry, Written: r.Written, Latest: r.State.Latest, Checkpoints: []listed{}, Skipped: []skipped{}}
	if r.Old != "" {
		doc.Old = &r.Old
	}
	for i, name := range r.State.All {
		l := listed{jsonName: nameOf(name)}
		if len(r.State.Timestamps) > 0 {
			l.Timestamp = &r.State.Timestamps[i]
		}
		doc.Checkpoints = append(doc.Checkpoints, l)
	}
	for _, k := range r.Skipped {
		doc.Skipped = append(doc.Skipped, skipped{nameOf(k.Name), k.Reason, problemsOf(k.Problems)})
	}
	return doc
}
