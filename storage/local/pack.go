package local

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/storage"
)

// PackOptions say what of an account is packed. The zero value is all of it.
type PackOptions struct {
	Since string      // the state that Unpack or Arrived returned at the other store: bodies that it has are left out; empty: none
	Part  ArchivePart // Bodies is for a first round, while the user works
}

// Packed is what an archive has.
type Packed struct {
	Mailboxes int64
	Messages  int64 // with those that are retained
	Bodies    int64 // each once, however many messages have it
	Octets    int64 // of the archive
}

// Pack writes an account to w, for Unpack in another store: its mailboxes with
// UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ, its messages with UIDs, ModSeqs,
// flags, dates, save dates and object ids, what was expunged (for QRESYNC),
// subscriptions, access lists, annotations, quotas and retained messages. All
// of it is as it stands at one moment, and Freeze keeps it so. What stays
// behind: the part indexes and the index of words, which are made again, and
// the numbers of retained messages.
//
// Memory is 8 octets for each message whose body is sent, and a megabyte.
// ErrNoMailbox when there is no account, ErrOtherArchive for a state that is
// not of this account, and ErrBusy when the account, which is not frozen,
// changes too often. After an error what was written is of no use, and Unpack
// refuses it.
func (s *Store) Pack(ctx context.Context, user string, w io.Writer, o PackOptions) (Packed, error) {
	if err := s.ready(ctx); err != nil {
		return Packed{}, err
	}
	rec, ok, err := getAccount(s.e, user)
	if err != nil || !ok {
		return Packed{}, cmp.Or(err, storage.ErrNoMailbox)
	}
	p := &packer{account: &account{s, tree{user, rec.id}}}
	if err := p.begin(ctx, w, o); err != nil {
		return Packed{}, failure(err)
	}
	if o.Part == Bodies {
		err = p.ahead(ctx)
	} else {
		err = p.whole(ctx)
	}
	if err == nil {
		err = p.w.write(frameEnd, binary.AppendUvarint(binary.AppendUvarint(nil, uint64(p.sum.Bodies)), uint64(p.sum.Messages)))
	}
	if err == nil {
		err = p.w.w.Flush()
	}
	p.sum.Octets = p.w.octets
	return p.sum, failure(err)
}

// packer is one Pack.
type packer struct {
	*account
	w     *frameWriter
	upto  engine.BlobID // bodies up to here are sent, or at the other store
	sum   Packed
	frame []byte // scratch space
}

// begin writes the head.
func (p *packer) begin(ctx context.Context, w io.Writer, o PackOptions) error {
	had, err := parseArchiveState(o.Since)
	if err != nil {
		return err
	}
	source, err := p.source()
	if err != nil {
		return err
	}
	if o.Since != "" && had.source != source {
		return fmt.Errorf("%w: the state is not of the account %q of this store", ErrOtherArchive, p.user)
	}
	if err := p.s.purger.settle(ctx, p.id); err != nil { // what was just deleted is retained then
		return err
	}
	if p.w, err = newFrameWriter(w); err != nil {
		return err
	}
	p.upto = had.upto
	h := archiveHead{user: p.user, source: source, since: had.upto, part: o.Part, at: p.s.second()}
	return p.w.write(frameHead, h.append(nil))
}

// source names the account, so that its bodies are not taken for those of
// another one, or of its namesake in another store.
func (a *account) source() (string, error) {
	b, _, err := a.s.e.Get([]byte{keyCounters})
	if err != nil {
		return "", err
	}
	c, err := parseCounters(b)
	if err != nil {
		return "", err
	}
	of := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, originOf(c.mailbox)), uint64(a.id))
	sum := sha256.Sum256(append(of, a.user...))
	return string(sum[:sourceOctets]), nil
}

// ahead sends the bodies that there are now.
func (p *packer) ahead(ctx context.Context) error {
	snap := p.s.e.Snapshot()
	ids, err := p.bodies(ctx, snap)
	snap.Close()
	if err == nil {
		_, err = p.send(ctx, ids)
	}
	return err
}

// packTries is how often Pack begins anew because messages, of an account that
// is not frozen, were expunged before their bodies were sent.
const packTries = 10

// whole sends the bodies, and then everything else as it stands at a moment
// when all bodies of it are sent. So nobody waits for long with the index in
// hand while it goes through a slow line.
func (p *packer) whole(ctx context.Context) error {
	for try := range packTries {
		snap := p.s.e.Snapshot()
		ids, err := p.bodies(ctx, snap)
		if try == 0 && len(ids) > 0 {
			snap.Close()
		}
		missed := 0
		if err == nil {
			missed, err = p.send(ctx, ids)
		}
		if err == nil && missed == 0 && (try > 0 || len(ids) == 0) {
			err = p.all(ctx, snap)
			snap.Close()
			return err
		}
		snap.Close()
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: messages were expunged while it was packed", ErrBusy)
}
