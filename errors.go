package ckpt

import "github.com/ckpt-go/ckpt/internal/fault"

// The classes of errors: ask with errors.Is.
var (
	// ErrCorrupt says that bytes on disk are not what was written.
	ErrCorrupt = fault.ErrCorrupt
	// ErrMismatch says that program and checkpoint do not fit each other.
	ErrMismatch = fault.ErrMismatch
	// ErrNoCheckpoint says that there is nothing to restore.
	ErrNoCheckpoint = fault.ErrNoCheckpoint
)

// CorruptError tells file, tensor, offset and kind of a damage.
type CorruptError = fault.CorruptError

// MismatchError tells a key and what both sides have.
type MismatchError = fault.MismatchError

// UnmatchedError lists objects or values without a counterpart.
type UnmatchedError = fault.UnmatchedError

// Kind names what is wrong; the list is closed.
type Kind = fault.Kind

// The kinds of damage, as `ckpt verify --json` prints them.
const (
	KindMissing     = fault.KindMissing
	KindUnreadable  = fault.KindUnreadable
	KindTruncated   = fault.KindTruncated
	KindChecksum    = fault.KindChecksum
	KindFormat      = fault.KindFormat
	KindEntry       = fault.KindEntry
	KindOverlap     = fault.KindOverlap
	KindGraph       = fault.KindGraph
	KindState       = fault.KindState
	KindUnsupported = fault.KindUnsupported
)
