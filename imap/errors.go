package imap

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/wire"
	"github.com/posthouse-mail/posthouse/storage"
)

// bad is the answer to a command that can't be understood.
func bad(text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeBad, Text: text}
}

// no is the answer to a command that can't be done.
func no(code imap.ResponseCode, text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
}

// goodbye ends a session after telling the client why.
type goodbye struct {
	text string // of BYE
	err  error  // answer to the running command, nil: none
}

func (g *goodbye) Error() string { return "closing: " + g.text }
func (g *goodbye) Unwrap() error { return g.err }

// broken ends a session without a word: writing failed, or a literal could
// not be finished.
type broken struct{ err error }

func (b *broken) Error() string { return "connection broken: " + b.err.Error() }
func (b *broken) Unwrap() error { return b.err }

// lost reports whether err is of the connection.
func lost(err error) bool {
	for _, of := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded, wire.ErrInterrupted} {
		if errors.Is(err, of) {
			return true
		}
	}
	_, network := errors.AsType[net.Error](err)
	return network
}

// Answers that several commands give.
var (
	errMailboxGone = &goodbye{text: "The selected mailbox was deleted"}
	errReadOnly    = no(imap.ResponseCodeCannot, "Mailbox is selected read-only")
	errNoPerm      = no(imap.ResponseCodeNoPerm, "Permission denied")
	errExpunged    = no("EXPUNGEISSUED", "Some of the messages no longer exist") // RFC 5530 §3
)

// public are the answers to errors of the store.
var public = []struct {
	err  error
	code imap.ResponseCode
	text string
}{
	{storage.ErrNoMailbox, imap.ResponseCodeNonExistent, "No such mailbox"},
	{storage.ErrMailboxExists, imap.ResponseCodeAlreadyExists, "Mailbox already exists"},
	{storage.ErrHasChildren, imap.ResponseCodeHasChildren, "Mailbox has children"},
	{storage.ErrBadName, imap.ResponseCodeCannot, "Mailbox name not allowed"},
	{storage.ErrBadKind, imap.ResponseCodeCannot, "Mailbox name not allowed"}, // here: the client need not know of what is above
	{storage.ErrNoMessage, "EXPUNGEISSUED", "Message no longer exists"},
	{storage.ErrOverQuota, imap.ResponseCodeOverQuota, "Quota exceeded"},
	{storage.ErrLimit, imap.ResponseCodeLimit, "Limit reached"},
	{storage.ErrFrozen, imap.ResponseCodeUnavailable, "The account is being moved, please try again later"},
	{storage.ErrClosed, imap.ResponseCodeUnavailable, "Server is stopping"},
	{context.Canceled, imap.ResponseCodeUnavailable, "Server is stopping"},
	{context.DeadlineExceeded, imap.ResponseCodeUnavailable, "Temporary failure, please try again later"},
}

// answer returns what a client may see of err; foreseen is false when the
// cause belongs in the log.
func answer(err error) (reply *imap.Error, foreseen bool) {
	if errors.As(err, &reply) {
		return reply, true
	}
	for _, k := range public {
		if errors.Is(err, k.err) {
			return &imap.Error{Type: imap.StatusResponseTypeNo, Code: k.code, Text: k.text}, true
		}
	}
	return &imap.Error{
		Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeServerBug,
		Text: "Temporary failure, please try again later",
	}, false
}

// toDestination turns "no such mailbox" into the advice to create it, for
// commands that store into a mailbox (RFC 9051 §7.1, TRYCREATE).
func toDestination(err error) error {
	if errors.Is(err, storage.ErrNoMailbox) {
		return no(imap.ResponseCodeTryCreate, "No such mailbox")
	}
	return err
}
