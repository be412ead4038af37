package cli

import (
	"context"
	"encoding/hex"
	"fmt"

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
