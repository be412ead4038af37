package cli

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ckpt-go/ckpt"
)

func newHash(s *call) *cobra.Command {
	return &cobra.Command{
		Use:   "hash PATH",
		Short: "Print the SHA-256 of each tensor's value",
		Long: `Print the SHA-256 of each tensor's value, in the order of the index. It is taken of the
row-major little-endian bytes, so it does not depend on how the files store the
tensor; of a string tensor, of each element's length as 8 little-endian bytes and then
its bytes. Every checksum is verified on the way.`,
		Example: `  ckpt hash model/ckpt-3
  diff <(ckpt hash old) <(ckpt hash new)    # which tensors differ?`,
		Args: exactly("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runHash(cmd.Context(), s, args[0])
		},
	}
}

func runHash(ctx context.Context, s *call, path string) error {
	type hashed struct {
		jsonName
		SHA256 string `json:"sha256"`
	}
	r, err := ckpt.Open(ctx, path, s.openOptions())
	if err != nil {
		return err
	}
	defer r.Close()
	vars, err := variables(ctx, r)
	if err != nil {
		return err
	}
	if err := checkOverlap(r.Prefix(), vars); err != nil {
		return err
	}
	var done, total int64
	for i := range vars {
		total += vars[i].Bytes
	}
	progress := newProgress(s)
	defer progress.clear()
	doc := struct {
		Schema  int      `json:"schema"`
		Tensors []hashed `json:"tensors"`
	}{schema, []hashed{}}
	for i := range vars {
		v := &vars[i]
		sum, err := r.Hash(ctx, v.Name)
		if err != nil {
			return err
		}
		text := hex.EncodeToString(sum[:])
		if s.json {
			doc.Tensors = append(doc.Tensors, hashed{nameOf(v.Name), text})
		} else if _, err := fmt.Fprintf(s.out, "%s  %s\n", text, printable(v.Name)); err != nil {
			return err
		}
		done += v.Bytes
		progress.report(r.Prefix(), done, total)
	}
	if s.json {
		return s.printJSON(doc)
	}
	return nil
}

// checkOverlap refuses a checkpoint in which bytes belong to two tensors, which
// nobody writes: a small file could ask for any amount of work.
func checkOverlap(prefix string, vars []ckpt.VariableInfo) error {
	type stretch struct {
		shard        int
		offset, size int64
		name         string
	}
	var all []stretch
	add := func(shard int, offset, size int64, name string) {
		if shard >= 0 && offset >= 0 && size > 0 && size <= math.MaxInt64-offset {
			all = append(all, stretch{shard, offset, size, name}) // others are found when they are read
		}
	}
	for i := range vars {
		v := &vars[i]
		if len(v.Slices) == 0 {
			add(v.Shard, v.Offset, v.Bytes, v.Name)
		}
		for _, p := range v.Slices {
			add(p.Shard, p.Offset, p.Bytes, v.Name)
		}
	}
	slices.SortFunc(all, func(a, b stretch) int {
		return cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(a.offset, b.offset))
	})
	// The stretch that reaches farthest, and the one of another tensor that does.
	var far, other stretch
	for _, b := range all {
		if b.shard != far.shard {
			far, other = stretch{shard: b.shard}, stretch{shard: b.shard}
		}
		// Slices of one tensor that share bytes are refused when it is read.
		for _, a := range [...]stretch{far, other} {
			if a.name != b.name && b.offset < a.offset+a.size {
				return fmt.Errorf("%s: the bytes of tensor %s are also those of tensor %s: %w", prefix, printable(b.name), printable(a.name), ckpt.ErrCorrupt)
			}
		}
		switch {
		case b.offset+b.size <= far.offset+far.size:
			if b.name != far.name && b.offset+b.size > other.offset+other.size {
				other = b
			}
		case b.name == far.name:
			far = b
		default:
			far, other = b, far
		}
	}
	return nil
}
