package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/posthouse-mail/posthouse/internal/engine"
)

// An archive is an account on its way to another store, see doc/storage.md: a
// stream of frames that Pack writes and Unpack reads. Bodies come first, in the
// order of the log, and then everything that refers to them.

// archiveMagic begins an archive.
const archiveMagic = "phacct01"

// archiveVersion is that of the head of an archive. The records in it have
// their own.
const archiveVersion = 1

// Kinds of frames, in the order in which they come.
const (
	frameHead         = 'H'
	frameBody         = 'B' // and as many frameData as it has octets for
	frameData         = 'D'
	frameAccount      = 'A'
	frameSubscription = 'S'
	frameValidity     = 'V'
	frameAccountNote  = 'K'
	frameMailbox      = 'M' // and what is in it
	frameBoxNote      = 'N'
	frameTombstone    = 'X'
	frameMessage      = 'R'
	frameKept         = 'Y'
	frameEnd          = 'E'
)

// Errors of archives. Test for them with errors.Is.
var (
	// ErrBadArchive: what was read is no archive, not a whole one, or damaged,
	// or says what can't be so.
	ErrBadArchive = errors.New("archive of an account can't be read")
	// ErrOtherArchive: the archive is another user's, or does not go on from
	// what has arrived: pack again since the state that Arrived returns.
	ErrOtherArchive = errors.New("archive does not fit what is here")
	// ErrAccountExists: there is an account of this name, and it has mail.
	ErrAccountExists = errors.New("account exists and has mail")
	// ErrBusy: somebody else unpacks the same account, or it changed too often
	// while it was packed.
	ErrBusy = errors.New("account is busy")
)

func badArchive(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadArchive, fmt.Sprintf(format, args...))
}

// ArchivePart says how much of an account an archive has.
type ArchivePart uint8

// Parts of an account.
const (
	Whole  ArchivePart = iota // all of it
	Bodies                    // what takes long: the octets of its messages, and not yet the account
)

// archiveHead is what an archive says of itself.
type archiveHead struct {
	user   string
	source string        // which account of which store it is, sourceOctets
	since  engine.BlobID // bodies up to here are left out
	part   ArchivePart
	at     int64 // when it was made, in seconds since 1970
}

const sourceOctets = 8

func (h *archiveHead) append(b []byte) []byte {
	b = appendBytes(append(b, archiveVersion), h.user)
	b = binary.AppendUvarint(appendBytes(b, h.source), uint64(h.since))
	return binary.AppendUvarint(append(b, byte(h.part)), uint64(max(h.at, 0)))
}

func parseArchiveHead(b []byte) (h archiveHead, err error) {
	r := newReaderUpTo(archiveVersion, b)
	h.user, h.source = string(r.bytes()), string(r.bytes())
	h.since = engine.BlobID(r.number())
	h.part = ArchivePart(r.octet())
	h.at = int64(r.upTo(latestSecond))
	if r.end() != nil || len(h.source) != sourceOctets || h.part > Bodies {
		return h, badArchive("its head")
	}
	return h, nil
}

// archiveState is how far the bodies of an account have come from one store to
// another.
type archiveState struct {
	source string
	upto   engine.BlobID
}

func (s archiveState) String() string { return fmt.Sprintf("%x-%x", s.source, uint64(s.upto)) }

// parseArchiveState reads what String returned. Empty: nothing has come.
func parseArchiveState(text string) (s archiveState, err error) {
	if text == "" {
		return s, nil
	}
	source, upto, ok := strings.Cut(text, "-")
	n, err := strconv.ParseUint(upto, 16, 64)
	var octets []byte
	if _, failed := fmt.Sscanf(source, "%x", &octets); !ok || err != nil || failed != nil || len(octets) != sourceOctets {
		return s, fmt.Errorf("%w: %q is no state of an archive", ErrOtherArchive, text)
	}
	return archiveState{string(octets), engine.BlobID(n)}, nil
}

// latestSecond is the last second of the year 9999, since 1970: no date that
// can be written in a message is later.
const latestSecond = 253402300799
