package ckpt

import (
	"errors"
	"fmt"

	"github.com/ckpt-go/ckpt/storage"
)

// VerifyOptions are the options of Verify, VerifyAll, VerifyDirectory and
// FindGood; nil means the zero value.
type VerifyOptions struct {
	// Bucket is where the files are. Nil means the local file system.
	Bucket storage.Bucket
	// FollowLinks allows symbolic links that lead out of the checkpoint's folder,
	// as the caches of model hubs have them. Without it they are refused.
	FollowLinks bool
	// Level is how much is looked at. The zero value means every byte.
	Level Level
	// Sample restricts LevelAll to a part of the tensors. The zero value means all.
	Sample Sample
	// Digests compares the files with the SHA-256 that SaveOptions.Digests noted
	// beside them: it finds what checksums of 32 bits may miss. A checkpoint
	// without digests is not good then. Digests are those of whole files: LevelAll
	// without a Sample is needed.
	Digests bool
	// Explain looks for the flipped bit where a CRC-32C does not match, see
	// CorruptError's Explanation. It takes milliseconds for each such problem.
	Explain bool
	// Progress is called as tensors are checked, with the bytes done so far of
	// one checkpoint and in all; nil is silent. Where a checkpoint is written over
	// meanwhile, they begin again with the new one.
	Progress func(prefix string, done, total int64)
}

// Level is how much of a checkpoint Verify looks at. Each but LevelAll takes a
// time that does not depend on the size of the tensors.
type Level int

// The levels.
const (
	// LevelAll reads every byte: the index, the object graph, all tensors.
	LevelAll Level = iota
	// LevelIndex checks the index against itself and against the sizes of the data
	// files, and the object graph, and reads no other tensor.
	LevelIndex
	// LevelNames checks that the files of the index are there and as long as it
	// needs. It reads the index for that, and no data file.
	LevelNames
)

var levelNames = [...]string{LevelAll: "all", LevelIndex: "index", LevelNames: "names"}

// String gives the name that `ckpt verify --level` takes.
func (l Level) String() string {
	if l < 0 || int(l) >= len(levelNames) {
		return fmt.Sprintf("Level(%d)", int(l))
	}
	return levelNames[l]
}

// MarshalText implements encoding.TextMarshaler as String does.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler: all, index or names.
func (l *Level) UnmarshalText(text []byte) error {
	for i, name := range levelNames {
		if string(text) == name {
			*l = Level(i)
			return nil
		}
	}
	return fmt.Errorf("level %q: want all, index or names", text)
}

// Sample is one of Of parts of the tensors, the first is Part 1. The parts have
// about the same number of bytes, a tensor is in one of them, and Of runs with
// Parts 1 to Of cover them all; so a nightly job reads a little each time. Which
// tensor is in which part depends on the index alone: on the names and sizes, not
// on the values. A tensor larger than a part makes others smaller, or empty.
type Sample struct{ Part, Of int }

// Coverage counts tensors, a slice of one for itself, and their stored bytes.
type Coverage struct {
	Tensors int
	Bytes   int64
}

// Verified is what a check of one checkpoint found.
type Verified struct {
	Prefix   string
	Problems []*CorruptError // empty: every byte that was checked is as it was written
	// Checked are the tensors that were compared with their checksums, right or
	// wrong, of those Stored. The object graph, which LevelIndex reads too, is
	// among them at LevelAll only.
	Checked, Stored Coverage

	at place // zero for a directory
}

// check refuses options that contradict each other.
func (o *VerifyOptions) check() error {
	s := o.Sample
	switch {
	case o.Level < 0 || int(o.Level) >= len(levelNames):
		return fmt.Errorf("ckpt: VerifyOptions.Level %d is none; want LevelAll, LevelIndex or LevelNames", int(o.Level))
	case s != Sample{} && (s.Part < 1 || s.Part > s.Of):
		return fmt.Errorf("ckpt: VerifyOptions.Sample: part %d of %d; want a part from 1 to their number", s.Part, s.Of)
	case s != Sample{} && o.Level != LevelAll:
		return fmt.Errorf("ckpt: VerifyOptions.Sample is for LevelAll; level %s reads no tensors", o.Level)
	case o.Digests && (s != Sample{} || o.Level != LevelAll):
		return errors.New("ckpt: VerifyOptions.Digests are of whole files; leave Level and Sample out")
	}
	return nil
}

// orDefault is o, or the zero value for nil.
func (o *VerifyOptions) orDefault() (*VerifyOptions, error) {
	if o == nil {
		return new(VerifyOptions), nil
	}
	return o, o.check()
}

// follow gives a place the leave to follow links.
func (o *VerifyOptions) follow(at place) place {
	if o.FollowLinks {
		return at.followed()
	}
	return at
}
