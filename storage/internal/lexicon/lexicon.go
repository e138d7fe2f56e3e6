// Package lexicon is an index of the words of a mailbox's messages. It is kept
// in segments: files that are written once, each about the messages of a range
// of UIDs. A segment holds the tokens of its messages in order, each with a
// list of the messages that have it.
//
// Invariants of this package:
//
//   - What a Query finds in a segment is never less than the messages that hold
//     its text in any letter case, in a field or a part that was given to the
//     Builder as one. It may be more.
//   - A segment is used only by a program that folds and cuts text exactly as
//     the one that wrote it, down to the version of Unicode: see Version.
//   - Damage of a segment is noticed before it can hide a message: each piece
//     has a checksum, and ErrDamaged tells of it.
//   - Memory is bounded: a Builder takes about 24 MiB, a search and a merge take
//     some hundred KiB and an octet for 8 messages of a segment for each word.
package lexicon

import (
	"errors"
	"hash/crc32"
)

// ErrDamaged tells of a segment that is not what a Writer wrote, or that a
// program of another Version wrote. It has to be made again.
var ErrDamaged = errors.New("words of a mailbox are damaged, or of another version")

// Doc is a message in a segment. Stamp is the caller's, who can tell by it
// whether the UID still means the message that it meant when the segment was
// made.
type Doc struct{ UID, Stamp uint32 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
