package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/posthouse-mail/posthouse/storage"
)

// A mailbox is settled when that much was written.
const (
	settleMessages = 1000
	settleOctets   = 32 << 20
)

// subscriptionsFile is the list of subscribed names.
const subscriptionsFile = "subscriptions"

// exporter is a run of Export.
type exporter struct {
	account storage.Account
	tree    tree
	options Options
	files   files
	sum     Summary
}

func (e *exporter) run(ctx context.Context, dir string) error {
	if err := e.files.mkdir(dir); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := lock(d); err != nil {
		return err
	}
	list, err := e.account.Mailboxes(ctx)
	if err != nil {
		return err
	}
	for _, info := range list {
		if info.ID == 0 {
			continue
		}
		err := e.mailbox(ctx, dir, info)
		if errors.Is(err, storage.ErrNoMailbox) {
			e.options.note(info.Name, "was deleted during the export")
			continue
		}
		if err != nil {
			return fmt.Errorf("mailbox %s: %w", info.Name, err)
		}
		e.sum.Mailboxes++
	}
	return e.subscriptions(dir, list)
}

func (e *exporter) subscriptions(dir string, list []storage.MailboxInfo) error {
	encode, _ := e.tree.subscriptionCodec()
	var b bytes.Buffer
	for _, info := range list {
		if info.Subscribed {
			b.WriteString(encode(info.Name) + "\n")
		}
	}
	return e.files.replace(filepath.Join(dir, subscriptionsFile), b.Bytes())
}

// boxExport is the export of one mailbox.
type boxExport struct {
	*exporter
	name      string
	box       storage.Mailbox
	writer    writer
	statePath string
	state     *state
	progress  Progress
	unsettled Progress // what was added since the state was kept
}

func (e *exporter) mailbox(ctx context.Context, dir string, info storage.MailboxInfo) (err error) {
	box, err := e.account.Mailbox(ctx, info.Name)
	if err != nil {
		return err
	}
	status, err := box.Status(ctx)
	if err != nil {
		return err
	}
	path := e.tree.path(info.Name)
	b := &boxExport{exporter: e, name: info.Name, box: box, statePath: filepath.Join(dir, e.tree.statePath(path))}
	b.progress.Mailbox = info.Name
	if b.state, err = b.begun(path); err != nil {
		return err
	}
	if b.writer, err = e.tree.writer(path); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.writer.Close()) }()
	if err := b.begin(ctx, info, status.UIDValidity); err != nil {
		return err
	}
	return b.run(ctx)
}

// begun returns the state of the mailbox, a new one when nothing is there yet.
func (b *boxExport) begun(path string) (*state, error) {
	s, err := readState(b.statePath)
	if err != nil {
		return nil, err
	}
	if s == nil {
		switch mail, err := b.tree.holdsMail(path); {
		case err != nil:
			return nil, err
		case mail:
			return nil, fmt.Errorf("%w: %s", ErrForeign, path)
		}
		return &state{Name: b.name}, nil
	}
	if s.Name != b.name {
		return nil, fmt.Errorf("%w: %s is of the mailbox %q", ErrForeign, path, s.Name)
	}
	return s, nil
}

// begin brings what is there in line with the state, and the state with the mailbox.
func (b *boxExport) begin(ctx context.Context, info storage.MailboxInfo, validity uint32) error {
	attrs := make([]string, len(info.Attrs))
	for i, a := range info.Attrs {
		attrs[i] = string(a)
	}
	anew := b.state.UIDValidity != validity
	if b.state.UIDValidity == 0 { // nothing was written yet
		b.state.UIDValidity = validity
	} else if anew {
		*b.state = state{Name: b.name, UIDValidity: b.state.UIDValidity}
	}
	if anew || !slices.Equal(attrs, b.state.Attrs) || b.state.Kind != info.Kind {
		b.state.Attrs, b.state.Kind = attrs, info.Kind
		if err := b.files.writeState(b.statePath, b.state); err != nil {
			return err
		}
	}
	if err := b.writer.cut(ctx, b.state); err != nil {
		return err
	}
	if b.state.UIDValidity == validity {
		return nil
	}
	b.state.UIDValidity = validity
	return b.files.writeState(b.statePath, b.state)
}

func (b *boxExport) run(ctx context.Context) error {
	if err := b.count(ctx); err != nil {
		return err
	}
	b.options.progress(b.progress)
	for m, err := range b.box.Messages(ctx, 0) {
		if err != nil {
			return err
		}
		if m.UID <= b.state.UID {
			continue
		}
		if err := b.message(ctx, m); err != nil {
			return fmt.Errorf("message %d: %w", m.UID, err)
		}
	}
	if b.unsettled == (Progress{}) {
		return nil
	}
	return b.settle()
}

// count finds out how much there is to do, and what is no longer in the mailbox.
func (b *boxExport) count(ctx context.Context) error {
	there := int64(0)
	for m, err := range b.box.Messages(ctx, 0) {
		switch {
		case err != nil:
			return err
		case m.UID > b.state.UID:
			b.progress.Total++
		default:
			there++
		}
	}
	if gone := b.state.Messages - there; gone > 0 {
		b.options.note(b.name, "%d messages that were expunged since an earlier export stay in this one", gone)
	}
	return nil
}

// message writes one message, unless it was expunged in the meantime.
func (b *boxExport) message(ctx context.Context, m storage.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	body, err := b.box.Open(ctx, m.UID)
	if errors.Is(err, storage.ErrNoMessage) {
		return nil
	}
	if err != nil {
		return err
	}
	err = b.writer.add(b.state.UIDValidity, m, body)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	b.state.UID = max(b.state.UID, m.UID)
	b.state.Messages++
	b.unsettled.Messages++
	b.unsettled.Octets += m.Size
	if b.unsettled.Messages >= int64(b.options.most(settleMessages)) || b.unsettled.Octets >= settleOctets {
		return b.settle()
	}
	return nil
}

// settle makes durable what was written.
func (b *boxExport) settle() error {
	if err := b.writer.settle(b.state); err != nil {
		return err
	}
	if err := b.files.writeState(b.statePath, b.state); err != nil {
		return err
	}
	b.sum.Messages += b.unsettled.Messages
	b.sum.Octets += b.unsettled.Octets
	b.progress.Messages += b.unsettled.Messages
	b.progress.Octets += b.unsettled.Octets
	b.progress.Total = max(b.progress.Total, b.progress.Messages)
	b.unsettled = Progress{}
	b.options.progress(b.progress)
	return nil
}
