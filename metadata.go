package ckpt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
)

// metadataSuffix is what the name of a checkpoint's metadata ends in.
const metadataSuffix = ".meta.json"

// maxMetadata bounds what is read of a metadata file: digests of two hundred
// thousand tensors.
const maxMetadata = 48 << 20

// Metadata is what <prefix>.meta.json says beside a checkpoint. There is such a
// file only if somebody had something to say: metrics, a pin, a branch, seeds,
// values, or digests were asked for; a checkpoint without it is as good as any.
// It is durable before the checkpoint can be seen, and names the index it belongs
// to by its SHA-256, so that one left behind by TensorFlow, which knows nothing
// of it, is never taken for another checkpoint's.
//
// The fields to Values are the program's, see SaveOptions.Metadata; those behind
// them are filled by the save. Metadata is plain data.
type Metadata struct {
	Step    *int64             // the training step, where the number is not it
	Metrics map[string]float64 // such as the accuracy on data held back
	Pinned  bool               // retention keeps the checkpoint
	Parent  string             // file name of the checkpoint that the run went on from
	Branch  string             // of a line that was left: the first checkpoint of the line that took over, see ResumeOptions.Prefix
	Seeds   map[string]uint64  // of random generators
	// Values are the program's own, as encoding/json writes them; reading gives
	// numbers as json.Number.
	Values map[string]any

	Time    time.Time
	Program ProgramFacts
	Host    HostFacts
	Digests *Digests // nil unless SaveOptions.Digests asked for them

	index   string // SHA-256 of the index it belongs to, hex
	unknown map[string]rawJSON
	worth   bool      // a file even if it says nothing but a step
	saved   time.Time // by the clock of the Manager that saves
}

// Digests are the SHA-256 of a checkpoint's files and tensors, of the bytes the
// program gave, taken while they were written.
type Digests struct {
	// Files has the index, whose name is "index", and the data files:
	// "data-00000-of-00001". The checkpoint's own name is not part of them.
	Files []FileDigest
	// Tensors are those of Reader.Hash, in the order they were written.
	Tensors []TensorDigest
}

// FileDigest is the SHA-256 of one file.
type FileDigest struct {
	Name   string
	Size   int64
	SHA256 [sha256.Size]byte
}

// TensorDigest is the SHA-256 of one tensor's value.
type TensorDigest struct {
	Name   string
	SHA256 [sha256.Size]byte
}

// says tells whether there is anything that is worth a file.
func (m *Metadata) says() bool {
	return m != nil && (m.worth || len(m.Metrics) > 0 || m.Pinned || m.Parent != "" || m.Branch != "" || len(m.Seeds) > 0 || len(m.Values) > 0 || m.Digests != nil)
}

// clone copies what a caller may go on changing, without what only the checkpoint
// has that it was read from.
func (m *Metadata) clone() *Metadata {
	if m == nil {
		return nil
	}
	c := *m
	if m.index != "" { // it was read
		c.Parent, c.Branch = "", ""
	}
	c.Digests, c.index, c.unknown = nil, "", nil
	c.Metrics, c.Seeds, c.Values = maps.Clone(m.Metrics), maps.Clone(m.Seeds), maps.Clone(m.Values)
	if m.Step != nil {
		c.Step = new(*m.Step)
	}
	return &c
}

// ReadMetadata reads what stands beside a checkpoint. The path is what Open
// takes. Where there is nothing, or only what belongs to another checkpoint that
// had the name before, the error is fs.ErrNotExist; what cannot be understood is a
// *CorruptError.
func ReadMetadata(ctx context.Context, path string, o *OpenOptions) (*Metadata, error) {
	at, err := o.find(ctx, path)
	if err != nil {
		return nil, err
	}
	m, err := readMetadata(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("ckpt: metadata of %s: %w", fault.Printable(at.prefix), err)
	}
	return m, nil
}

// Metadata is ReadMetadata of this checkpoint.
func (r *Reader) Metadata(ctx context.Context) (*Metadata, error) {
	m, err := readMetadata(ctx, r.at)
	if err != nil {
		return nil, fmt.Errorf("ckpt: metadata of %s: %w", fault.Printable(r.at.prefix), err)
	}
	return m, nil
}

func readMetadata(ctx context.Context, at place) (*Metadata, error) {
	all, err := loadMetadata(ctx, at)
	if err != nil {
		return nil, err
	}
	return choose(ctx, at, all)
}

// hexOf is how metadata names the index it belongs to.
func hexOf(index bundle.FileDigest) string { return hex.EncodeToString(index.SHA256[:]) }

// choose finds the one that belongs to the checkpoint.
func choose(ctx context.Context, at place, all []*Metadata) (*Metadata, error) {
	index, err := bundle.DigestIndex(ctx, at.bucket, at.name)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.index == hexOf(index) {
			return m, nil
		}
	}
	return nil, &fs.PathError{Op: "read", Path: baseName(at.name) + metadataSuffix,
		Err: fmt.Errorf("belongs to another checkpoint that had this name: %w", fs.ErrNotExist)}
}

// keptMetadata is the metadata of a checkpoint for those who must not lose what it
// says: where the index is damaged, or gone while the data is there, it names no
// metadata as its own, and what pins the checkpoint counts, or what was written last.
func keptMetadata(ctx context.Context, at place) (*Metadata, error) {
	all, err := loadMetadata(ctx, at)
	if err != nil {
		return nil, err
	}
	m, notOurs := choose(ctx, at, all)
	if !errors.Is(notOurs, fs.ErrNotExist) {
		return m, notOurs
	}
	broken, err := indexBroken(ctx, at)
	if err != nil {
		return nil, err
	}
	if !broken {
		return nil, notOurs
	}
	return all[max(0, slices.IndexFunc(all, func(m *Metadata) bool { return m.Pinned }))], nil
}

// indexBroken tells whether a checkpoint has an index that cannot be read through, or
// data but no index.
func indexBroken(ctx context.Context, at place) (bool, error) {
	rd, err := bundle.Open(ctx, at.bucket, at.name, nil)
	if isAbsent(err) {
		return hasData(ctx, at)
	}
	if err != nil {
		return damage(err)
	}
	defer rd.Close()
	for _, err := range rd.Entries() {
		if err != nil {
			return damage(err)
		}
	}
	for p := range rd.CheckUnread(ctx) {
		return damage(p)
	}
	return false, nil
}

// damage tells what is broken from what only cannot be read now, which is an error.
func damage(err error) (bool, error) {
	if p := ProblemOf(err); p.Kind == KindUnreadable || p.Kind == KindUnsupported {
		return false, err
	}
	return true, nil
}

// hasData tells whether there are data files of exactly this prefix.
func hasData(ctx context.Context, at place) (bool, error) {
	for info, err := range at.bucket.List(ctx, at.name+".data-") {
		if err != nil {
			return false, err
		}
		if prefix, _, _, ok := bundle.ParseDataName(info.Name); ok && prefix == at.name {
			return true, nil
		}
	}
	return false, nil
}

// loadMetadata reads the file: what belongs to the checkpoint, then what
// belonged to the one it replaced.
func loadMetadata(ctx context.Context, at place) ([]*Metadata, error) {
	name := at.name + metadataSuffix
	f, err := at.bucket.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > maxMetadata {
		return nil, fault.Locate(fault.Corrupt(fault.KindFormat, "%d bytes; metadata has at most %d", f.Size(), maxMetadata), baseName(name), "")
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return nil, err
	}
	all, err := decodeMetadata(text)
	if err != nil {
		return nil, fault.Locate(err, baseName(name), "")
	}
	return all, nil
}

// writeMetadata makes m durable as that of the checkpoint whose index it names and
// which may be coming. What belongs to the checkpoint that is replaced stays beside
// it, until the new one is there.
func writeMetadata(ctx context.Context, at place, m *Metadata) error {
	var replaced *Metadata
	if old, err := readMetadata(ctx, at); err == nil && old.index != m.index {
		replaced = old
	}
	text, err := encodeMetadata(m, replaced)
	if err != nil {
		return err
	}
	if len(text) > maxMetadata {
		return fmt.Errorf("%d bytes of metadata; at most %d can be read back", len(text), maxMetadata)
	}
	w, err := at.bucket.Create(ctx, at.name+metadataSuffix, &storage.CreateOptions{Size: int64(len(text))})
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Commit(ctx)
}

// dropMetadata removes metadata that belongs to no checkpoint that is there. What
// this package did not write stays.
func dropMetadata(ctx context.Context, at place) error {
	all, err := loadMetadata(ctx, at)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrCorrupt) {
			return nil
		}
		return err
	}
	if _, err := choose(ctx, at, all); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := at.bucket.Remove(ctx, at.name+metadataSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// metadataOf is what a save will write beside the checkpoint, of options that
// are its own; nil for nothing.
func (o *SaveOptions) metadataOf() (*Metadata, error) {
	m := o.Metadata
	if o.Digests {
		if m == nil {
			m = new(Metadata)
		}
		m.Digests = new(Digests)
	}
	if !m.says() {
		return nil, nil
	}
	for name, value := range m.Values { // which may point to anything
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("SaveOptions.Metadata.Values[%q] cannot be written as JSON: %w", name, err)
		}
		m.Values[name] = rawJSON(text)
	}
	m.fill()
	return m, nil
}

// suffixOf is the name of a file without the checkpoint's: "index".
func suffixOf(file, prefix string) string { return file[len(prefix)+1:] }

// addFiles notes the digests of the files.
func (m *Metadata) addFiles(prefix string, index bundle.FileDigest, data []bundle.FileDigest) {
	if m.Digests == nil {
		return
	}
	for _, d := range slices.Concat([]bundle.FileDigest{index}, data) {
		m.Digests.Files = append(m.Digests.Files, FileDigest{suffixOf(d.Name, prefix), d.Size, d.SHA256})
	}
}

// seal is what a save does between the data and the index.
func (k *cut) seal(at place) bundle.BeforeIndex {
	if k.meta == nil {
		return nil
	}
	return func(ctx context.Context, index bundle.FileDigest, data []bundle.FileDigest) error {
		k.meta.addFiles(at.name, index, data)
		k.meta.index = hexOf(index)
		if err := writeMetadata(ctx, at, k.meta); err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
		k.sealed = true
		return nil
	}
}

// unseal takes metadata away that no checkpoint belongs to: that of a save that
// failed, or what a save without any found under its name. It is best effort:
// what stays is not taken for anything.
func (k *cut) unseal(ctx context.Context, at place, saved bool) {
	if saved == k.sealed {
		return
	}
	ctx = context.WithoutCancel(ctx)
	if k.guard != nil && k.guard(ctx) != nil {
		return // what is there is another's
	}
	dropMetadata(ctx, at)
}
