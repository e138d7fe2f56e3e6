package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/posthouse-mail/posthouse/storage"
)

// importer is a run of Import.
type importer struct {
	account storage.Account
	tree    tree
	options Options
	files   files
	journal *journal
	sum     Summary
}

func (i *importer) run(ctx context.Context, dir string) (err error) {
	folders, err := i.tree.folders(func(path, text string) { i.options.note(path, "%s", text) })
	if err != nil {
		return err
	}
	inbox, err := i.find(ctx, storage.Inbox)
	if err != nil {
		return err
	}
	path := i.options.Journal
	if path == "" {
		path = filepath.Join(dir, journalFile)
	}
	if i.journal, err = openJournal(path, i.files, inbox.entry); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.journal.Close()) }()
	subscribed, err := i.readSubscriptions(dir)
	if err != nil {
		return err
	}
	for _, f := range folders {
		if err := i.folder(ctx, f, subscribed == nil); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		i.sum.Mailboxes++
	}
	for _, name := range subscribed {
		if err := i.account.Subscribe(ctx, usableName(name)); err != nil {
			return fmt.Errorf("subscribing %s: %w", name, err)
		}
	}
	return nil
}

// found is a mailbox of the account.
type found struct {
	storage.Mailbox
	entry entry // its ID and UIDVALIDITY
}

func (i *importer) find(ctx context.Context, name string) (*found, error) {
	box, err := i.account.Mailbox(ctx, name)
	if err != nil {
		return nil, err
	}
	status, err := box.Status(ctx)
	return &found{box, entry{ID: box.ID(), UIDValidity: status.UIDValidity}}, err
}

// create makes a mailbox unless it is there.
func (i *importer) create(ctx context.Context, name string, n storage.NewMailbox) error {
	err := i.account.Create(ctx, name, n)
	if errors.Is(err, storage.ErrMailboxExists) {
		return nil
	}
	return err
}

// readSubscriptions returns the names that dir lists as subscribed; nil when
// there is no list. Dovecot's has a first line that says its version, and in
// the second one tabs between levels; Courier's names begin with INBOX.
func (i *importer) readSubscriptions(dir string) ([]string, error) {
	_, decode := i.tree.subscriptionCodec()
	prefix := ""
	content, err := readSmall(filepath.Join(dir, subscriptionsFile))
	if errors.Is(err, os.ErrNotExist) {
		prefix = "INBOX."
		content, err = readSmall(filepath.Join(dir, "courierimapsubscribed"))
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	names := []string{}
	text, version2 := strings.CutPrefix(string(content), "V\t2\n")
	for line := range strings.Lines(text) {
		switch line = strings.TrimRight(line, "\r\n"); {
		case line == "":
		case version2:
			names = append(names, strings.ReplaceAll(line, "\t", storage.Separator))
		default:
			names = append(names, decode(strings.TrimPrefix(line, prefix)))
		}
	}
	return names, err
}

// boxImport is the import of one folder.
type boxImport struct {
	*importer
	name     string
	box      storage.Mailbox
	entry    entry
	source   source
	progress Progress
}

func (i *importer) folder(ctx context.Context, f folder, subscribe bool) (err error) {
	b := &boxImport{importer: i, name: usableName(f.name)}
	if b.name != f.name {
		i.options.note(b.name, "is what %q became", f.name)
	}
	if err := i.create(ctx, b.name, f.made); err != nil {
		return err
	}
	if subscribe && i.journal.entries[f.path] == nil {
		if err := i.account.Subscribe(ctx, b.name); err != nil {
			return err
		}
	}
	box, err := i.find(ctx, b.name)
	if err != nil {
		return err
	}
	b.box, b.entry = box.Mailbox, box.entry
	b.entry.Folder = f.path
	if err := b.resume(ctx); err != nil {
		return err
	}
	if b.source, err = f.open(b.entry.Position); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.source.Close()) }()
	return b.run(ctx)
}

// resume goes on where the journal says that an earlier run was.
func (b *boxImport) resume(ctx context.Context) error {
	e := b.journal.entries[b.entry.Folder]
	if e == nil || e.ID != b.entry.ID || e.UIDValidity != b.entry.UIDValidity {
		return nil
	}
	b.entry = *e
	if b.entry.Pending == nil {
		return nil
	}
	stored, err := happened(ctx, b.box, b.entry.Pending)
	if err != nil {
		return err
	}
	if stored {
		b.entry.Position = b.entry.Pending.Position
		b.entry.Messages += int64(len(b.entry.Pending.Messages))
	}
	b.entry.Pending = nil
	return nil
}

func (b *boxImport) run(ctx context.Context) error {
	total, size, err := b.source.extent(ctx)
	if err != nil {
		return err
	}
	b.progress = Progress{Mailbox: b.name, Total: total, Size: size}
	b.options.progress(b.progress)
	for {
		batch, last, err := b.read(ctx)
		if err == nil && len(batch) > 0 {
			err = b.store(ctx, batch)
		}
		for _, in := range batch {
			err = errors.Join(err, in.body.Close())
		}
		if err != nil {
			return err
		}
		if last {
			return b.journal.put(&b.entry)
		}
	}
}

// A batch is stored as one change.
const (
	batchMessages = 256
	batchOctets   = 4 << 20
)

// read collects the next batch. What it returns must be closed, also with an error.
func (b *boxImport) read(ctx context.Context) (batch []*incoming, last bool, err error) {
	octets := int64(0)
	for len(batch) < b.options.most(batchMessages) && octets < batchOctets {
		in, err := b.source.next(ctx)
		if err == io.EOF {
			return batch, true, nil
		}
		if err != nil {
			return batch, false, err
		}
		if in.dropped > 0 {
			b.options.note(b.name, "%d keywords of the message at %s were left out", in.dropped, in.position)
		}
		batch = append(batch, in)
		octets += in.message.Size
	}
	return batch, false, nil
}

// store appends a batch: the journal knows of it before, so that after a crash
// it can be looked up whether it is stored.
func (b *boxImport) store(ctx context.Context, batch []*incoming) error {
	status, err := b.box.Status(ctx)
	if err != nil {
		return err
	}
	last := batch[len(batch)-1]
	p := &pending{UIDNext: status.UIDNext, Position: last.position}
	msgs := make([]storage.NewMessage, len(batch))
	for i, in := range batch {
		p.Messages = append(p.Messages, printOf(in.message))
		msgs[i] = storage.NewMessage{Body: in.body, Flags: in.flags, Date: in.message.Date}
	}
	b.entry.Pending = p
	if err := b.journal.put(&b.entry); err != nil {
		return err
	}
	_, err = b.box.Append(ctx, msgs...)
	if errors.Is(err, storage.ErrLimit) && len(batch) > 1 { // too much for one change
		half := len(batch) / 2
		if err := b.store(ctx, batch[:half]); err != nil {
			return err
		}
		return b.store(ctx, batch[half:])
	}
	if err != nil {
		return fmt.Errorf("messages up to %s: %w", last.position, err)
	}
	b.entry.Position, b.entry.Pending = last.position, nil
	b.entry.Messages += int64(len(batch))
	b.stored(batch)
	return nil
}

func (b *boxImport) stored(batch []*incoming) {
	for _, in := range batch {
		b.sum.Octets += in.message.Size
		if b.progress.Size == 0 {
			b.progress.Octets += in.message.Size
		} else {
			b.progress.Octets = in.octets
		}
	}
	b.sum.Messages += int64(len(batch))
	b.progress.Messages += int64(len(batch))
	b.options.progress(b.progress)
}
