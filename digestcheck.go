package ckpt

import (
	"context"
	"errors"
	"io/fs"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
)

// checkDigests compares the files with the digests that were noted when they
// were written. Digests that are not there are a problem.
func (v *Verified) checkDigests(ctx context.Context, at place, rd *bundle.Reader) error {
	note := baseName(at.name) + metadataSuffix
	m, err := readMetadata(ctx, at)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		v.problem(note, "", fault.KindMissing, "digests were asked for, and there are none: %v", err)
		return nil
	case err != nil:
		v.Problems = append(v.Problems, problemAt(err, at))
		return nil
	case m.Digests == nil:
		v.problem(note, "", fault.KindMissing, "digests were asked for, and the metadata has none; see SaveOptions.Digests")
		return nil
	}
	differ, sound := false, v.OK() // a damaged file may claim anything
	missing := int(rd.Header().NumShards) + 1
	seen := make(map[string]bool)
	for _, f := range m.Digests.Files {
		file := at.name + "." + f.Name
		if seen[file] || !ownFile(file, at.name, int(rd.Header().NumShards)) {
			v.problem(note, "", fault.KindFormat, "a digest of %q, which is no file of this checkpoint, or the second one of it", f.Name)
			continue
		}
		seen[file] = true
		missing--
		got, err := rd.Digest(ctx, file)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && (got.Size != f.Size || got.SHA256 != f.SHA256) { // other errors the checks before report
			differ = true
			v.problem(baseName(file), "", fault.KindChecksum, "SHA-256 does not match: noted %x of %d bytes, the file has %x of %d", f.SHA256, f.Size, got.SHA256, got.Size)
		}
	}
	if missing > 0 {
		v.problem(note, "", fault.KindMissing, "no digest of %s", count(missing, "file"))
	}
	if differ && sound {
		return v.checkTensorDigests(ctx, at, rd, m.Digests)
	}
	return nil
}

// checkTensorDigests says which tensors are not what was written. Of a name that
// is there twice the first counts.
func (v *Verified) checkTensorDigests(ctx context.Context, at place, rd *bundle.Reader, d *Digests) error {
	r, err := openPlace(ctx, at)
	if err != nil {
		return nil // reported before
	}
	defer r.Close()
	seen := make(map[string]bool)
	for _, want := range d.Tensors {
		if _, err := rd.Entry(want.Name); err != nil || seen[want.Name] {
			continue // reported as that of the file
		}
		seen[want.Name] = true
		got, err := r.Hash(ctx, want.Name)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && got != want.SHA256 {
			v.problem("", want.Name, fault.KindChecksum, "SHA-256 of the value does not match: noted %x, the file has %x", want.SHA256, got)
		}
	}
	return nil
}

// ownFile tells the index and the data files of a checkpoint from other names.
func ownFile(file, prefix string, shards int) bool {
	if file == bundle.IndexName(prefix) {
		return true
	}
	p, _, n, ok := bundle.ParseDataName(file)
	return ok && p == prefix && n == shards
}

func (v *Verified) problem(file, key string, kind Kind, format string, args ...any) {
	p := fault.Corrupt(kind, format, args...)
	p.File, p.Key = file, key
	v.Problems = append(v.Problems, p)
}
