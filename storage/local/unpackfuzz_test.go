package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// looseFrames writes the frames of an archive without their sums: a kind, two
// octets of length, and the content. Longer ones are left out.
func looseFrames(t testing.TB, archive []byte) (b []byte) {
	f, err := newFrameReader(bytes.NewReader(archive))
	require.NoError(t, err)
	for kind := byte(0); kind != frameEnd; {
		var content []byte
		kind, content, err = f.next()
		require.NoError(t, err)
		if len(content) < 1<<16 {
			b = append(binary.BigEndian.AppendUint16(append(b, kind), uint16(len(content))), content...)
		}
	}
	return b
}

// tightFrames makes an archive of what looseFrames returned, or of anything.
func tightFrames(t testing.TB, b []byte) []byte {
	var archive bytes.Buffer
	f, err := newFrameWriter(&archive)
	require.NoError(t, err)
	for len(b) > 3 {
		kind, n := b[0], int(binary.BigEndian.Uint16(b[1:]))
		b = b[3:]
		n = min(n, len(b))
		require.NoError(t, f.write(kind, b[:n]))
		b = b[n:]
	}
	require.NoError(t, f.w.Flush())
	return archive.Bytes()
}

// smallAccount is an archive with one of everything.
func smallAccount(t testing.TB) []byte {
	ctx := context.Background()
	o := quiet(vfs.NewMem())
	retaining(&o)
	o.Mailboxes = []storage.Default{{Name: "Trash", Attrs: []imap.MailboxAttr{imap.MailboxAttrTrash}}}
	s := open(t, "store", o)
	deliver(t, s, "Subject: 1\r\n\r\n1", "alice")
	deliver(t, s, "Subject: 2\r\n\r\n2", "alice")
	m := boxOf(t, s, "alice", "INBOX")
	_, err := m.Append(ctx, storage.NewMessage{Body: message.FromBytes([]byte("Subject: 3\r\n\r\n3")), Flags: storage.NewFlags("$Label", "\\Seen")}, storage.NewMessage{})
	require.NoError(t, err)
	_, err = m.Copy(ctx, imap.UIDSetNum(2), "Trash")
	require.NoError(t, err)
	_, err = m.Expunge(ctx, imap.UIDSetNum(1))
	require.NoError(t, err)
	require.NoError(t, m.Create(ctx, "Work/x", storage.NewMailbox{}))
	require.NoError(t, m.account.Rename(ctx, "Work/x", "Work/y"))
	require.NoError(t, m.SetACL(ctx, "Work", storage.ACL{{Identifier: "bob", Allow: 3}}))
	require.NoError(t, m.Annotate(ctx, "Work", storage.Annotation{Name: "/comment", Value: []byte("w")}))
	require.NoError(t, m.Annotate(ctx, "", storage.Annotation{Name: "/vendor/x", User: "alice", Value: []byte("a")}))
	require.NoError(t, m.SetQuota(ctx, &storage.Quota{Bytes: 1 << 30}))
	return looseFrames(t, pack(t, s, "alice", PackOptions{}))
}

// FuzzUnpack reads archives whose sums are right, whatever they say. Whether one
// is taken or refused, the store is sound and everything in it can be read, and
// nothing is to be seen of what was refused.
func FuzzUnpack(f *testing.F) {
	seed := smallAccount(f)
	f.Add(seed)
	to := open(f, "store", quiet(vfs.NewMem()))
	_, err := to.Unpack(context.Background(), "alice", bytes.NewReader(tightFrames(f, seed)), UnpackOptions{})
	require.NoError(f, err)
	for at := 0; at+3 < len(seed); { // each frame left out, and twice
		next := at + 3 + int(binary.BigEndian.Uint16(seed[at+1:]))
		f.Add(append(bytes.Clone(seed[:at]), seed[next:]...))
		f.Add(append(bytes.Clone(seed[:next]), seed[at:]...))
		at = next
	}
	for at := range len(seed) {
		if at%5 == 0 {
			turned := bytes.Clone(seed)
			turned[at] ^= byte(1 << (at / 5 % 8))
			f.Add(turned)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ctx := context.Background()
		o := quiet(vfs.NewMem())
		retaining(&o)
		s, err := Open("store", o)
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		deliver(t, s, "x", "bob")
		got, err := s.Unpack(ctx, "alice", bytes.NewReader(tightFrames(t, b)), UnpackOptions{})
		if err != nil || !got.Whole {
			absent(t, s, "alice")
		} else {
			portrait(t, s, "alice")
			a, err := s.Find(ctx, "alice")
			require.NoError(t, err)
			infos, err := a.Mailboxes(ctx)
			require.NoError(t, err)
			for _, i := range infos {
				if i.ID == 0 {
					continue
				}
				if _, err := boxOf(t, s, "alice", i.Name).Copy(ctx, imap.UIDSet{{Start: 1}}, i.Name); !errors.Is(err, storage.ErrOverQuota) {
					require.NoError(t, err)
				}
			}
		}
		cleared(t, s)
		deliver(t, s, "more", "bob")
	})
}
