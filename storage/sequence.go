package storage

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/message"
)

// Sequencer is an optional power of a Mailbox: Sequence returns what reads
// many messages one after the other with less work than Index and Open have
// with each. It must be closed.
type Sequencer interface {
	Sequence(what SequenceOf) Sequence
}

// SequenceOf says what is read of messages.
type SequenceOf uint8

// What a Sequence reads.
const (
	SequenceOfIndexes SequenceOf = 1 << iota
	SequenceOfBodies
)

// MaxSequence is how many messages may be named to a Sequence at a time.
const MaxSequence = 128

// Sequence reads messages in a row, for one goroutine. Index and Open are
// those of its mailbox, for any message, and cheap for those that Next named
// when they are asked for in that order. A body that Open returns is valid
// until the next call of Open, Next or Close, an index until that of Next or Close.
type Sequence interface {
	// Next names the messages that are read next, MaxSequence at most. One
	// that is not there is no error.
	Next(ctx context.Context, uids []imap.UID) error
	Index(ctx context.Context, uid imap.UID) (*message.Part, error)
	Open(ctx context.Context, uid imap.UID) (message.OpenBody, error)
	Close()
}
