// Package transfer writes the mail of an account to a directory, as Maildir++
// or as mbox files, and reads such directories into an account. It works on
// the interfaces of package storage alone.
//
// Promises of this package:
//
//   - What Export wrote, Import brings back: names of mailboxes, special use,
//     subscriptions, and of each message every octet, the flags, the keywords
//     and the date with its zone.
//   - A run that ended early, however it ended, is taken up where it was by
//     calling the same again, without loss and without duplicates.
//   - Memory is bounded whatever the size of a message or a mailbox.
//   - Other programs can read what Export writes, and Import reads what other
//     programs write: Maildir++ of Dovecot and Courier, mbox with its traditional
//     Status, X-Status and X-Keywords lines.
//
// # Line ends
//
// Both formats hold lines that end in LF. A message in which every CR stands
// before an LF and every LF behind a CR is written with LF alone, and read back
// with CR LF. Any other message, with a bare CR or a bare LF, is written octet
// for octet and marked as such, L=raw in a file's name or lines=raw in an mbox.
// At import an LF that no CR stands before becomes CR LF, except in a message
// that is so marked; other octets are never touched.
//
// # Maildir++
//
// INBOX is the directory itself, every other mailbox a directory in it: a dot
// and the levels of the name, in modified UTF-7, with dots between them. As
// Dovecot's storage escape does it, with a backslash, \2e is a dot in a level,
// \5c a backslash and \7e a tilde at the very beginning. A message's file is
//
//	SECONDS.VuidvalidityUuid.posthouse,S=octets,W=octets,D=seconds+zone:2,FLAGS
//
// with W, the size with CR LF, unless the message is raw, and L=raw if it is.
// The file's time is the date of the message, D says it with its zone. FLAGS are
// D, F, R, S and T as everywhere, P beside the keyword $Forwarded, and lower-case
// letters for the keywords that the file dovecot-keywords lists. Keywords that
// have no letter are in the file posthouse-keywords, from the octet on that K=
// in the name says.
//
// # mbox
//
// A mailbox is a file with ".mbox" behind its name, in UTF-8; its children are
// in a directory of its name. %2e is a dot at the beginning of a level, or
// before an "mbox" that ends it. Lines are quoted as in mboxrd: a ">" more before
// every line of any number of ">" and "From ". Behind the From_ line stand
// always these four, which are not part of the message:
//
//	X-Posthouse-Message: date=… size=octets lines=crlf|raw end=own|added [keywords=…]
//	Status: RO
//	X-Status: AFTD
//	X-Keywords: …
//
// The message follows, with an LF at its end that may be added, and an empty
// line. What other programs do to the status lines counts at import.
//
// # State
//
// Export keeps a small file with each mailbox, named posthouse-export in a
// Maildir and .NAME.mbox.posthouse beside an mbox. Import keeps a journal.
package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/posthouse-mail/posthouse/storage"
)

// Format is how mail is kept in a directory.
type Format int

// The formats.
const (
	Maildir Format = iota // Maildir++
	Mbox                  // a tree of mbox files
)

var formatNames = [...]string{Maildir: "maildir", Mbox: "mbox"}

func (f Format) String() string {
	if f < 0 || int(f) >= len(formatNames) {
		return fmt.Sprintf("format %d", int(f))
	}
	return formatNames[f]
}

// ParseFormat reads the name of a format: "maildir" or "mbox".
func ParseFormat(s string) (Format, error) {
	for f, name := range formatNames {
		if s == name {
			return Format(f), nil
		}
	}
	return 0, fmt.Errorf("%q is no format for mail: maildir or mbox", s)
}

// Errors of this package; errors of the store and of the disk are wrapped as
// they are.
var (
	// ErrForeign: there is mail where Export would write that it did not write.
	ErrForeign = errors.New("holds mail that is not of this export")
	// ErrChanged: the directory is no longer what it was when Import began with it.
	ErrChanged = errors.New("changed since the import began")
	// ErrOtherAccount: the journal is of an import into another account.
	ErrOtherAccount = errors.New("journal of an import into another account")
	// ErrBusy: another run is at work in the same directory or with the same journal.
	ErrBusy = errors.New("another transfer is at work here")
)

// Options of a run. The zero value is usable.
type Options struct {
	// Progress is told how far a mailbox is, at its beginning and end and
	// whenever that much is durable. nil: nobody is.
	Progress func(Progress)
	// Note is told, in plain words, what did not come along as it was. nil: nobody is.
	Note func(mailbox, text string)
	// Journal is the file in which Import keeps how far it is; it must stay for
	// a later Import to know what is done. Empty: posthouse-import in the
	// directory that is imported.
	Journal string
	// SpoolDir is for messages too large for memory. Empty: os.TempDir.
	SpoolDir string

	step  func() error // called before each change on disk, for tests
	batch int          // messages that are stored or settled at once at most, for tests; 0: as many as is good
}

// Progress says how far a mailbox is.
type Progress struct {
	Mailbox  string
	Messages int64 // that are done
	Total    int64 // to be done; 0 when that is not known, as in an mbox
	Octets   int64 // that are done: of messages, or of the file that an mbox is
	Size     int64 // of that file; 0 when it is none
}

// Summary says what a run has done.
type Summary struct {
	Mailboxes int   // that were looked at
	Messages  int64 // that were written or stored in this run
	Octets    int64 // of these messages, as the store counts them
}

// most returns how many messages a batch has at most.
func (o *Options) most(usual int) int {
	if o.batch > 0 {
		return o.batch
	}
	return usual
}

func (o *Options) progress(p Progress) {
	if o.Progress != nil {
		o.Progress(p)
	}
}

func (o *Options) note(mailbox, format string, args ...any) {
	if o.Note != nil {
		o.Note(mailbox, fmt.Sprintf(format, args...))
	}
}

// Export writes an account to dir, which is made when it does not exist.
// Called again it writes only what came since: a message that was expunged in
// between, or has other flags now, stays as it was written, and so does a
// mailbox that was deleted or renamed. A mailbox whose UIDVALIDITY changed
// is written anew. ErrForeign when dir holds other mail, ErrBusy.
func Export(ctx context.Context, a storage.Account, dir string, f Format, o Options) (Summary, error) {
	t, err := newTree(dir, f, &o)
	if err != nil {
		return Summary{}, err
	}
	e := &exporter{account: a, tree: t, options: o, files: files{o.step}}
	err = e.run(ctx, dir)
	return e.sum, err
}

// Import stores the mail of dir in an account, behind what is there. It makes
// the mailboxes that are missing and subscribes them as dir's list of
// subscriptions says, or all when there is no list; it never removes anything.
// Nobody may change dir while it runs; it changes nothing there itself but
// its journal. Called again it stores only what it has not stored yet,
// except that a mailbox that was deleted since is filled anew. ErrChanged,
// ErrOtherAccount, ErrBusy; ErrOverQuota, ErrLimit and others of the store.
func Import(ctx context.Context, a storage.Account, dir string, f Format, o Options) (Summary, error) {
	t, err := newTree(dir, f, &o)
	if err != nil {
		return Summary{}, err
	}
	i := &importer{account: a, tree: t, options: o, files: files{o.step}}
	err = i.run(ctx, dir)
	return i.sum, err
}
