package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ckpt-go/ckpt"
)

func newLs(s *call) *cobra.Command {
	var long, checkpoints bool
	level := ckpt.LevelNames
	cmd := &cobra.Command{
		Use:   "ls PATH",
		Short: "List the tensors of a checkpoint, or the checkpoints of a directory",
		Long: `List the tensors of a checkpoint in the order of its index: name, dtype, shape and
stored bytes. It reads the index only. A summary goes to standard error.

With --checkpoints list the checkpoints of a directory, oldest first: tensors, stored
bytes, when it was saved, step and metrics from the metadata, and what is special:
latest, pinned, not in the state file, damaged. --level says how much is looked at
for damage; verify tells more.`,
		Example: `  ckpt ls model/ckpt-3
  ckpt ls -l model                # the latest one, with shard, offset and CRC-32C
  ckpt ls --json model | jq -r '.tensors[].name'
  ckpt ls --checkpoints model`,
		Args: exactly("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case checkpoints && long:
				return usage(cmd, "--long is for tensors, not for --checkpoints")
			case checkpoints:
				return runCheckpoints(cmd.Context(), s, args[0], level)
			case cmd.Flags().Changed("level"):
				return usage(cmd, "--level goes with --checkpoints")
			}
			return runLs(cmd.Context(), s, args[0], long)
		},
	}
	cmd.Flags().BoolVarP(&long, "long", "l", false, "also print shard, offset, CRC-32C, and the slices of sliced tensors")
	cmd.Flags().BoolVarP(&checkpoints, "checkpoints", "c", false, "list the checkpoints of the directory PATH")
	cmd.Flags().TextVar(&level, "level", level, "with --checkpoints, how much to look at: names, index, or all")
	return cmd
}

func runLs(ctx context.Context, s *call, path string, long bool) error {
	r, err := ckpt.Open(ctx, path, s.openOptions())
	if err != nil {
		return err
	}
	defer r.Close()
	vars, err := variables(ctx, r)
	if err != nil {
		return err
	}
	if s.json {
		doc := struct {
			Schema int `json:"schema"`
			jsonPrefix
			Tensors []jsonTensor `json:"tensors"`
		}{schema, prefixOf(r.Prefix()), make([]jsonTensor, 0, len(vars))}
		for i := range vars {
			doc.Tensors = append(doc.Tensors, tensorOf(&vars[i]))
		}
		return s.printJSON(doc)
	}
	table := &columns{right: []bool{false, false, false, true}}
	if long {
		table.right = append(table.right, true, true, false)
	}
	var total int64
	for i := range vars {
		total += vars[i].Bytes
		lsRows(table, &vars[i], long)
	}
	if err := table.print(s.out); err != nil {
		return err
	}
	return s.say("%s, %s in %s", plural(len(vars), "tensor"), humanBytes(total), printable(r.Prefix()))
}

func lsRows(table *columns, v *ckpt.VariableInfo, long bool) {
	row := []string{printable(v.Name), v.DType.String(), v.Shape.String(), strconv.FormatInt(v.Bytes, 10)}
	if !long {
		table.add(row...)
		return
	}
	if len(v.Slices) == 0 {
		table.add(append(row, placeCells(v.Shard, v.Offset, v.CRC32C)...)...)
		return
	}
	table.add(append(row, "-", "-", plural(len(v.Slices), "slice"))...)
	for _, p := range v.Slices {
		row := []string{"  " + sliceText(p), "", "", strconv.FormatInt(p.Bytes, 10)}
		table.add(append(row, placeCells(p.Shard, p.Offset, p.CRC32C)...)...)
	}
}

func placeCells(shard int, offset int64, crc uint32) []string {
	if shard < 0 { // V1 has no data files
		return []string{"-", "-", "-"}
	}
	return []string{strconv.Itoa(shard), strconv.FormatInt(offset, 10), crcText(crc)}
}

// sliceText is a slice as one would take it in Python.
func sliceText(p ckpt.SliceInfo) string {
	parts := make([]string, len(p.Start))
	for i, start := range p.Start {
		parts[i] = fmt.Sprintf("%d:%d", start, start+p.Length[i])
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// variables lists all tensors before anything is printed, so that a damaged
// index gives an error and no half list.
func variables(ctx context.Context, r *ckpt.Reader) ([]ckpt.VariableInfo, error) {
	var vars []ckpt.VariableInfo
	for v, err := range r.Variables() {
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		vars = append(vars, v)
	}
	return vars, nil
}
