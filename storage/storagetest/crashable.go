package storagetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/internal/names"
)

// ErrCrashed is what every operation returns after the crash.
var ErrCrashed = errors.New("the machine has crashed")

// Crashable is a bucket in memory that models a file system which loses what
// was not synced. It works as package local does, in steps:
//
//	Create       create a temporary file
//	Write        write to it
//	Commit       sync file, rename (Exclusive: link, unlink), sync folder
//	CommitAll    sync each file, rename each, sync each folder
//	Abort        unlink the temporary file
//	Remove       unlink
//	Link         link, sync folder
//	Claim        create a temporary file; its release unlinks it
//	Sync         sync each folder that lost a file
//
// A step either happens or, after the crash, fails with ErrCrashed and does
// nothing. Reading is no step, because it leaves the disk as it is, but fails
// after the crash too.
//
// What Crash leaves follows from what POSIX promises, not from what one file
// system happens to do: a change of a folder (create, rename, link, unlink)
// is durable after a sync of that folder, the bytes of a file after a sync of
// the file; everything else survives or not, each by itself, in no order. A
// rename is atomic. Folders themselves always exist. It is safe for concurrent
// use.
type Crashable struct {
	mu      sync.Mutex
	steps   []string
	limit   int // steps before the crash, −1 for no crash
	crashed bool
	nextID  int

	live    map[string]*inode // what the running system sees
	durable map[string]*inode // what the disk has for certain
	pending []change          // what brings durable to live
	dirty   map[string]bool   // folders Sync has to sync
}

var _ interface {
	storage.Bucket
	storage.GroupCommitter
	storage.Linker
	storage.Syncer
	storage.Claimer
	storage.Sweeper
} = (*Crashable)(nil)

// inode is a file without a name. Only its Writer changes it, and nobody
// reads it before the Writer has ended.
type inode struct {
	data    []byte
	writes  [][2]int // ranges of data not synced yet: a Writer syncs once, at its end
	modTime time.Time
	alive   bool // a Writer has it open
}

// change is one change of a folder: names go, then a name comes.
type change struct {
	folder string
	gone   string // "" for none
	name   string // "" for none
	file   *inode
}

func (c change) apply(entries map[string]*inode) {
	delete(entries, c.gone)
	if c.name != "" {
		entries[c.name] = c.file
	}
}

// NewCrashable returns an empty bucket that does not crash.
func NewCrashable() *Crashable {
	return &Crashable{limit: -1, live: map[string]*inode{}, durable: map[string]*inode{}, dirty: map[string]bool{}}
}

// CrashAfter lets n more steps happen; the one after them crashes.
func (c *Crashable) CrashAfter(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = len(c.steps) + n
}

// Crashed says whether the crash has happened.
func (c *Crashable) Crashed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.crashed
}

// Steps returns the steps that happened.
func (c *Crashable) Steps() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.steps)
}

// Crash returns the disk as it may be found after a power failure at this
// moment: of what was not synced, each change survives with probability share,
// drawn from seed. 0 loses all of it; 1 loses nothing, which is what a killed
// process leaves. The bucket itself is not changed. Temporary files that
// survive are Leftovers of the new one, and all there is on it is durable.
func (c *Crashable) Crash(seed uint64, share float64) *Crashable {
	c.mu.Lock()
	defer c.mu.Unlock()
	random := rand.New(rand.NewPCG(seed, 0))
	survives := func() bool { return random.Float64() < share }
	found := maps.Clone(c.durable)
	for _, p := range c.pending {
		if survives() {
			p.apply(found)
		}
	}
	disk := NewCrashable()
	disk.nextID = c.nextID
	copies := make(map[*inode]*inode) // links share
	for _, name := range slices.Sorted(maps.Keys(found)) {
		old := found[name]
		if copies[old] == nil {
			copies[old] = old.afterCrash(survives)
		}
		disk.live[name] = copies[old]
	}
	disk.durable = maps.Clone(disk.live)
	return disk
}

// afterCrash returns the file with those of its unsynced writes that survive.
// A lost one leaves zeros, or a file that ends early.
func (f *inode) afterCrash(survives func() bool) *inode {
	disk := &inode{data: f.data, modTime: f.modTime}
	if len(f.writes) == 0 {
		return disk // synced, and never changed again
	}
	disk.data = nil
	for _, w := range f.writes {
		if survives() {
			disk.data = put(disk.data, f.data[w[0]:w[1]], w[0])
		}
	}
	return disk
}

// put writes p into data at off; a gap reads as zeros.
func put(data, p []byte, off int) []byte {
	if end := off + len(p); end > len(data) {
		data = append(data, make([]byte, end-len(data))...)
	}
	copy(data[off:], p)
	return data
}

// step counts one step, or crashes. The caller holds c.mu, here and below.
func (c *Crashable) step(format string, args ...any) error {
	if c.crashed || len(c.steps) == c.limit {
		c.crashed = true
		return ErrCrashed
	}
	c.steps = append(c.steps, fmt.Sprintf(format, args...))
	return nil
}

// change makes a step of a change of a folder.
func (c *Crashable) change(what change, format string, args ...any) error {
	if err := c.step(format, args...); err != nil {
		return err
	}
	what.apply(c.live)
	c.pending = append(c.pending, what)
	return nil
}

func (c *Crashable) syncFolder(folder string) error {
	if err := c.step("sync folder %s", folder); err != nil {
		return err
	}
	c.pending = slices.DeleteFunc(c.pending, func(p change) bool {
		if p.folder == folder {
			p.apply(c.durable)
		}
		return p.folder == folder
	})
	delete(c.dirty, folder)
	return nil
}

// check begins every operation.
func (c *Crashable) check(ctx context.Context, op string, checked ...string) error {
	if c.crashed {
		return ErrCrashed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, name := range checked {
		if err := names.Check(op, name); err != nil {
			return err
		}
	}
	return nil
}

// A temporary file is kept under its name, a NUL byte and its ID.
const tempMark = "\x00"

func (c *Crashable) exists(op, name string) (*inode, error) {
	if file, ok := c.live[name]; ok {
		return file, nil
	}
	return nil, &fs.PathError{Op: op, Path: strings.ReplaceAll(name, tempMark, "."), Err: fs.ErrNotExist}
}

// Open implements storage.Bucket.
func (c *Crashable) Open(ctx context.Context, name string) (storage.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.check(ctx, "open", name); err != nil {
		return nil, err
	}
	file, err := c.exists("open", name)
	if err != nil {
		return nil, err
	}
	return crashableFile{bytes.NewReader(file.data), c, file}, nil
}

// Create implements storage.Bucket.
func (c *Crashable) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.create(ctx, name, o)
}

func (c *Crashable) create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	if err := c.check(ctx, "create", name); err != nil {
		return nil, err
	}
	c.nextID++
	w := &crashableWriter{
		bucket: c, name: name, temp: fmt.Sprintf("%s%s%016x", name, tempMark, c.nextID),
		file: &inode{alive: true}, exclusive: o != nil && o.Exclusive,
	}
	if err := c.change(change{folder: path.Dir(name), name: w.temp, file: w.file}, "create %s", name); err != nil {
		return nil, err
	}
	return w, nil
}

// List implements storage.Bucket.
func (c *Crashable) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		infos, err := c.list(ctx, prefix)
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
		if err != nil {
			yield(storage.Info{}, err)
		}
	}
}

func (c *Crashable) list(ctx context.Context, prefix string) ([]storage.Info, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.check(ctx, "list"); err != nil {
		return nil, err
	}
	dir, _, err := names.Folder(prefix)
	if err != nil {
		return nil, err
	}
	var infos []storage.Info
	for name, file := range c.live {
		if strings.HasPrefix(name, prefix) && path.Dir(name) == dir && !strings.Contains(name, tempMark) {
			infos = append(infos, storage.Info{Name: name, Size: int64(len(file.data)), ModTime: file.modTime})
		}
	}
	slices.SortFunc(infos, func(x, y storage.Info) int { return cmp.Compare(x.Name, y.Name) })
	return infos, nil
}

// Remove implements storage.Bucket.
func (c *Crashable) Remove(ctx context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.check(ctx, "remove", name); err != nil {
		return err
	}
	if _, err := c.exists("remove", name); err != nil {
		return err
	}
	c.dirty[path.Dir(name)] = true
	return c.change(change{folder: path.Dir(name), gone: name}, "unlink %s", name)
}

// Link implements storage.Linker.
func (c *Crashable) Link(ctx context.Context, name, newName string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.check(ctx, "link", name, newName); err != nil {
		return err
	}
	file, err := c.exists("link", name)
	if err != nil {
		return err
	}
	if _, ok := c.live[newName]; ok {
		return &fs.PathError{Op: "link", Path: newName, Err: fs.ErrExist}
	}
	if err := c.change(change{folder: path.Dir(newName), name: newName, file: file}, "link %s %s", name, newName); err != nil {
		return err
	}
	return c.syncFolder(path.Dir(newName))
}

// Sync implements storage.Syncer.
func (c *Crashable) Sync(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.check(ctx, "sync"); err != nil {
		return err
	}
	for _, folder := range slices.Sorted(maps.Keys(c.dirty)) {
		if err := c.syncFolder(folder); err != nil {
			return err
		}
	}
	return nil
}

// Leftovers implements storage.Sweeper. Those in folders below are found too.
func (c *Crashable) Leftovers(ctx context.Context) iter.Seq2[storage.Leftover, error] {
	return func(yield func(storage.Leftover, error) bool) {
		c.mu.Lock()
		err := c.check(ctx, "leftovers")
		var found []storage.Leftover
		for _, key := range slices.Sorted(maps.Keys(c.live)) {
			if name, id, ok := strings.Cut(key, tempMark); ok && !c.live[key].alive {
				found = append(found, storage.Leftover{Name: name, ID: id, Size: int64(len(c.live[key].data))})
			}
		}
		c.mu.Unlock()
		if err != nil {
			yield(storage.Leftover{}, err)
			return
		}
		for _, l := range found {
			if !yield(l, nil) {
				return
			}
		}
	}
}

// RemoveLeftover implements storage.Sweeper.
func (c *Crashable) RemoveLeftover(ctx context.Context, l storage.Leftover) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.check(ctx, "remove leftover", l.Name); err != nil {
		return err
	}
	temp := l.Name + tempMark + l.ID
	file, err := c.exists("remove leftover", temp)
	if err != nil {
		return err
	}
	if file.alive {
		return &fs.PathError{Op: "remove leftover", Path: l.Name, Err: errors.New("its writer is alive")}
	}
	return c.change(change{folder: path.Dir(l.Name), gone: temp}, "unlink leftover %s", l.Name)
}
