package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ckpt-go/ckpt"
)

func newVerify(s *call) *cobra.Command {
	o := &verifyFlags{level: ckpt.LevelAll}
	cmd := &cobra.Command{
		Use:   "verify PATH|DIR",
		Short: "Check every byte of a checkpoint, or of all in a directory",
		Long: `Read every byte of a checkpoint and compare it with its checksums; check the index
against itself and against the files, and the object graph. Of a directory all
checkpoints are verified. It exits with 3 if there is any problem.

--level looks at less: "index" at the index, the sizes of the data files and the
object graph, "names" at whether the files are there and as long as the index needs.
--sample N/T reads the Nth of T parts of the tensors, all of about the same size:
T runs with 1/T to T/T read them all.

--explain says for each checksum that does not match whether one flipped bit
explains it, and which. It changes nothing, and it is a guess: the larger the
tensor, the more other damage looks like one flipped bit, which is told, too.

The kinds of problems: missing, unreadable, truncated, checksum, format, entry, overlap,
graph, state, unsupported.`,
		Example: `  ckpt verify model/ckpt-3
  ckpt verify model                          # all of them
  ckpt verify --level index model            # without the values
  ckpt verify --sample 3/7 model/ckpt-3      # the third night of seven
  ckpt verify --explain model/ckpt-3         # where is the flipped bit?
  ckpt verify --json model | jq '.checkpoints[] | select(.ok | not)'`,
		Args: exactly("PATH or DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			return runVerify(cmd.Context(), s, args[0], o)
		},
	}
	f := cmd.Flags()
	f.TextVar(&o.level, "level", o.level, "how much to look at: all, index, or names")
	f.StringVar(&o.parts, "sample", "", "read the part N of T of the tensors, as N/T")
	f.BoolVar(&o.explain, "explain", false, "say which single flipped bit explains a checksum that does not match")
	f.BoolVar(&o.digests, "digests", false, "compare the SHA-256 in PATH.meta.json, too; one that is not there is a problem")
	return cmd
}

type verifyFlags struct {
	level            ckpt.Level
	parts            string
	sample           ckpt.Sample
	explain, digests bool
}

// check refuses flags that contradict each other.
func (o *verifyFlags) check(cmd *cobra.Command) error {
	if cmd.Flags().Changed("sample") {
		part, of, _ := strings.Cut(o.parts, "/")
		var err1, err2 error
		o.sample.Part, err1 = strconv.Atoi(part)
		o.sample.Of, err2 = strconv.Atoi(of)
		if err1 != nil || err2 != nil || o.sample.Part < 1 || o.sample.Part > o.sample.Of {
			return usage(cmd, "--sample %q: want N/T, as 3/7, with N from 1 to T", o.parts)
		}
	}
	switch {
	case o.level != ckpt.LevelAll && o.sample.Of > 0:
		return usage(cmd, "--sample is for the bytes of tensors; --level %s reads none", o.level)
	case o.digests && (o.level != ckpt.LevelAll || o.sample.Of > 0):
		return usage(cmd, "--digests are of whole files; leave --level and --sample out")
	}
	return nil
}

func runVerify(ctx context.Context, s *call, path string, flags *verifyFlags) error {
	p := newProgress(s)
	o := s.verifyOptions(p)
	o.Level, o.Sample, o.Explain, o.Digests = flags.level, flags.sample, flags.explain, flags.digests
	list, err := ckpt.VerifyAll(ctx, path, o)
	p.clear()
	if err != nil {
		return err
	}
	problems := 0
	for _, v := range list {
		problems += len(v.Problems)
	}
	if s.json {
		err = s.printJSON(verifyDocument(list, o, problems == 0))
	} else {
		err = printVerified(s, list, o)
	}
	if err == nil && problems > 0 {
		err = &damagedError{problems}
	}
	return err
}

func printVerified(s *call, list []*ckpt.Verified, o *ckpt.VerifyOptions) error {
	for _, v := range list {
		if v.OK() {
			fmt.Fprintf(s.out, "%s: ok%s\n", printable(v.Prefix), extentText(v, o))
		}
		for _, p := range v.Problems {
			fmt.Fprintf(s.out, "%s: %s\n", printable(v.Prefix), problemText(p))
			if p.Explanation != nil {
				fmt.Fprintf(s.out, "  %s\n", p.Explanation)
			}
		}
	}
	return s.out.Flush()
}

// extentText says what was checked, if that is not all.
func extentText(v *ckpt.Verified, o *ckpt.VerifyOptions) string {
	switch {
	case o.Sample.Of > 0:
		return fmt.Sprintf(" (part %d of %d: %d of %s, %s of %s)", o.Sample.Part, o.Sample.Of,
			v.Checked.Tensors, plural(v.Stored.Tensors, "tensor"), humanBytes(v.Checked.Bytes), humanBytes(v.Stored.Bytes))
	case o.Level == ckpt.LevelIndex:
		return " (index and object graph; tensors not read)"
	case o.Level == ckpt.LevelNames:
		return " (names and sizes of the files)"
	}
	return ""
}

// problemText is a problem as one line.
func problemText(p *ckpt.CorruptError) string {
	var parts []string
	if p.File != "" {
		parts = append(parts, printable(p.File))
	}
	if p.Key != "" {
		parts = append(parts, "tensor "+printable(p.Key))
	}
	if p.Offset >= 0 {
		at := fmt.Sprintf("offset %d", p.Offset)
		if p.Length >= 0 {
			at += fmt.Sprintf(" length %d", p.Length)
		}
		parts = append(parts, at)
	}
	return string(p.Kind) + ": " + strings.Join(append(parts, detail(p)), ": ")
}

func verifyDocument(list []*ckpt.Verified, o *ckpt.VerifyOptions, ok bool) any {
	type coverage struct {
		Tensors int   `json:"tensors"`
		Bytes   int64 `json:"bytes"`
	}
	type checkpoint struct {
		jsonPrefix
		OK       bool          `json:"ok"`
		Problems []jsonProblem `json:"problems"`
		Checked  coverage      `json:"checked"`
		Stored   coverage      `json:"stored"`
	}
	type sample struct {
		Part int `json:"part"`
		Of   int `json:"of"`
	}
	doc := struct {
		Schema      int          `json:"schema"`
		OK          bool         `json:"ok"`
		Level       ckpt.Level   `json:"level"`
		Sample      *sample      `json:"sample"`
		Checkpoints []checkpoint `json:"checkpoints"`
	}{schema, ok, o.Level, nil, []checkpoint{}}
	if o.Sample.Of > 0 {
		doc.Sample = &sample{o.Sample.Part, o.Sample.Of}
	}
	for _, v := range list {
		doc.Checkpoints = append(doc.Checkpoints, checkpoint{prefixOf(v.Prefix), v.OK(), problemsOf(v.Problems), coverage(v.Checked), coverage(v.Stored)})
	}
	return doc
}
