package transfer

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// tree is a directory in one of the formats.
type tree interface {
	// path returns where a mailbox is kept, below the directory.
	path(name string) string
	// statePath returns the file that Export keeps with what is at path.
	statePath(path string) string
	// holdsMail reports whether there is a message at path.
	holdsMail(path string) (bool, error)
	// writer makes a mailbox at path when it is missing and opens it.
	writer(path string) (writer, error)
	// folders lists what can be imported, in an order that stays.
	folders(note func(path, text string)) ([]folder, error)
	// subscriptionCodec writes and reads names as the list of subscriptions has them.
	subscriptionCodec() (encode func(name string) string, decode func(line string) string)
}

// writer writes one mailbox of an export.
type writer interface {
	// cut removes what was written after s was kept.
	cut(ctx context.Context, s *state) error
	// add writes a message.
	add(validity uint32, m storage.Message, b message.OpenBody) error
	// settle makes durable what was added and notes in s how to go on from there.
	settle(s *state) error
	Close() error
}

// folder is a mailbox in a directory that is imported.
type folder struct {
	path string // below the directory; it names the folder in the journal
	name string // of the mailbox; a store may not allow it
	made storage.NewMailbox
	open func(position string) (source, error)
}

// source reads one folder in an order that stays.
type source interface {
	// next returns the next message; io.EOF when there is none.
	next(ctx context.Context) (*incoming, error)
	// extent returns how much there is: messages, or octets of a file.
	extent(ctx context.Context) (messages, octets int64, err error)
	Close() error
}

// incoming is a message that was read from a source.
type incoming struct {
	body     *message.Spool
	flags    storage.Flags
	message  storage.Message // Date and Size, as the store will have them
	position string          // where the source goes on behind it
	octets   int64           // where that is in the file, in one
	dropped  int             // keywords that no store keeps
}

func newTree(dir string, f Format, o *Options) (tree, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	switch f {
	case Maildir:
		return &maildirTree{dir: dir, files: files{o.step}, spoolDir: o.SpoolDir}, nil
	case Mbox:
		return &mboxTree{dir: dir, files: files{o.step}, spoolDir: o.SpoolDir}, nil
	}
	return nil, fmt.Errorf("transfer: unknown %v", f)
}
