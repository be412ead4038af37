// Package edit makes new checkpoints out of stored ones, without the program that
// wrote them. It works on bytes: what it keeps of a checkpoint is kept as it was
// written, and what it reads it never changes.
//
// Repair writes a damaged checkpoint anew with what can be proved of it, and
// RebuildState writes the state file of a directory anew. Both say what they did,
// and do nothing but say so if DryRun is set.
//
//	r, err := edit.Repair(ctx, "model/ckpt-7", "model/repaired-7", nil)
//	for _, t := range r.Tensors {
//		fmt.Println(t.Name, t.How, t.Donor)
//	}
package edit
