package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// retaining lets stores keep what is expunged.
func retaining(o *Options) {
	o.Settings = func(string) storage.Settings { return storage.Settings{Retention: time.Hour} }
}

// richAccount makes an account that has some of everything.
func richAccount(t testing.TB, s *Store, user string) {
	t.Helper()
	ctx := context.Background()
	acc, err := s.Account(ctx, user)
	require.NoError(t, err)
	a := acc.(*account)
	require.NoError(t, a.Create(ctx, "Work/Größe/deep", storage.NewMailbox{}))
	require.NoError(t, a.Create(ctx, "Calendar", storage.NewMailbox{Kind: storage.Calendar}))
	require.NoError(t, a.Create(ctx, "gone", storage.NewMailbox{}))
	require.NoError(t, a.Create(ctx, "kept", storage.NewMailbox{}))
	deliver(t, s, "Subject: kept of a deleted mailbox\r\n\r\nx", user)
	_, err = boxOf(t, s, user, "INBOX").Move(ctx, imap.UIDSetNum(1), "kept")
	require.NoError(t, err)
	for i := range 150 {
		deliver(t, s, fmt.Sprintf("Subject: %d\r\n\r\n%s", i, strings.Repeat("line\r\n", i)), user, "other")
	}
	d := &storage.Delivery{Body: message.FromBytes([]byte("Subject: p\r\n\r\nx")), Targets: []storage.Target{
		{User: user, Prefix: []byte("Return-Path: <a@b>\r\nX: 1\r\n"), Flags: storage.NewFlags("$Junk", "\\Seen")}, {User: "other", Prefix: []byte("Return-Path: <a@b>\r\nX: 2\r\n")},
	}}
	_, err = s.Deliver(ctx, d)
	require.NoError(t, err)
	m := boxOf(t, s, user, "INBOX")
	var many []storage.NewMessage
	for i := range 5 {
		many = append(many, storage.NewMessage{Body: message.FromBytes([]byte(fmt.Sprintf("Subject: piece %d\r\n\r\nx", i))), Date: time.Date(2001, 2, 3, 4, 5, i, 0, time.FixedZone("", 3600))})
	}
	_, err = m.Append(ctx, many...)
	require.NoError(t, err)
	_, err = m.Append(ctx, storage.NewMessage{}, storage.NewMessage{Body: message.FromBytes(bytes.Repeat([]byte("big\r\n"), 500_000))})
	require.NoError(t, err)
	_, _, err = m.StoreFlags(ctx, storage.FlagUpdate{UIDs: imap.UIDSet{{Start: 3, Stop: 70}, {Start: 150, Stop: 158}}, Op: imap.StoreFlagsAdd, Flags: storage.NewFlags("\\Flagged", "$Forwarded")})
	require.NoError(t, err)
	_, err = m.Copy(ctx, imap.UIDSet{{Start: 140, Stop: 157}}, "Work/Größe/deep")
	require.NoError(t, err)
	for _, set := range []imap.UIDSet{{{Start: 5, Stop: 9}}, {{Start: 64, Stop: 127}}, {{Start: 20, Stop: 20}, {Start: 22, Stop: 22}}} {
		_, err = m.Expunge(ctx, set)
		require.NoError(t, err)
	}
	_, err = m.TakeRecent(ctx)
	require.NoError(t, err)
	require.NoError(t, a.Rename(ctx, "gone", "came"))
	require.NoError(t, a.Delete(ctx, "kept"))
	require.NoError(t, a.Subscribe(ctx, "ghost"))
	require.NoError(t, a.Unsubscribe(ctx, "INBOX"))
	require.NoError(t, a.SetACL(ctx, "Work", storage.ACL{{Identifier: "bob", Allow: 3}, {Identifier: "group:x", Deny: 1}}))
	require.NoError(t, a.SetACL(ctx, "", storage.ACL{{Identifier: "carol", Allow: 1}}))
	require.NoError(t, a.Annotate(ctx, "Work", storage.Annotation{Name: "/comment", Value: []byte("w")}, storage.Annotation{Name: "/comment", User: "bob", Value: []byte{}}))
	require.NoError(t, a.Annotate(ctx, "", storage.Annotation{Name: "/vendor/x", Value: []byte("a")}))
	require.NoError(t, a.SetQuota(ctx, &storage.Quota{Bytes: 1 << 30, Messages: 7000}))
	require.NoError(t, a.SetMailboxQuota(ctx, "Work", &storage.Quota{Bytes: 1 << 20}))
}

// portrait is all that can be seen of an account.
func portrait(t testing.TB, s *Store, user string) map[string]any {
	t.Helper()
	ctx := context.Background()
	acc, err := s.Find(ctx, user)
	require.NoError(t, err)
	a := acc.(*account)
	all := make(map[string]any)
	infos, err := a.Mailboxes(ctx)
	require.NoError(t, err)
	all["mailboxes"] = infos
	lists, err := a.AllACLs(ctx)
	require.NoError(t, err)
	all["acl"] = lists
	limit, used, err := a.Quota(ctx)
	require.NoError(t, err)
	all["quota"] = [2]storage.Quota{limit, used}
	var retained []string
	for r, err := range a.Retained(ctx) {
		require.NoError(t, err)
		body, err := a.OpenRetained(ctx, r.ID)
		require.NoError(t, err)
		r.ID = 0
		retained = append(retained, fmt.Sprintf("%+v %s", r, read(t, body)))
	}
	all["retained"] = retained
	for _, whose := range []string{"", "bob"} {
		notes, err := a.Annotations(ctx, "", whose)
		require.NoError(t, err)
		all["notes "+whose] = notes
	}
	for _, i := range infos {
		if i.ID == 0 {
			continue
		}
		box, err := a.Mailbox(ctx, i.Name)
		require.NoError(t, err)
		all[i.Name] = portraitOf(t, box.(*mailbox))
	}
	for _, who := range []string{"bob", "carol", "group:x"} {
		users, err := s.SharedWith(ctx, who)
		require.NoError(t, err)
		all["shared with "+who] = users
	}
	return all
}

func portraitOf(t testing.TB, m *mailbox) (lines []string) {
	ctx := context.Background()
	status, err := m.Status(ctx)
	require.NoError(t, err)
	lines = append(lines, fmt.Sprintf("%+v", status))
	for since := range status.HighestModSeq + 1 {
		set, err := m.Expunged(ctx, since)
		lines = append(lines, fmt.Sprintf("expunged since %d: %v %v", since, set, err))
	}
	limit, used, err := m.MailboxQuota(ctx, m.name)
	require.NoError(t, err)
	lines = append(lines, fmt.Sprint(limit, used))
	for _, whose := range []string{"", "bob"} {
		notes, err := m.Annotations(ctx, m.name, whose)
		require.NoError(t, err)
		lines = append(lines, fmt.Sprint(notes))
	}
	for msg, err := range m.Messages(ctx, 0) {
		require.NoError(t, err)
		body, err := m.Open(ctx, msg.UID)
		require.NoError(t, err)
		lines = append(lines, fmt.Sprintf("%+v", msg))
		lines = append(lines, read(t, body))
	}
	everything := imap.UIDSet{{Start: 1, Stop: 1 << 31}}
	for id, err := range m.ObjectIDs(ctx, everything) {
		require.NoError(t, err)
		lines = append(lines, fmt.Sprint(id))
	}
	for d, err := range m.SaveDates(ctx, everything) {
		require.NoError(t, err)
		lines = append(lines, fmt.Sprint(d))
	}
	return lines
}

func read(t testing.TB, b message.OpenBody) string {
	t.Helper()
	defer b.Close()
	text, err := io.ReadAll(message.NewReader(b))
	require.NoError(t, err)
	return string(text)
}

func pack(t testing.TB, s *Store, user string, o PackOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := s.Pack(context.Background(), user, &b, o)
	require.NoError(t, err)
	return b.Bytes()
}

func TestP42MovedAccountIsTheSame(t *testing.T) {
	from, to := inMemory(t, retaining), inMemory(t, retaining)
	richAccount(t, from, "alice")
	deliver(t, to, "x", "bob", "dave")
	before := portrait(t, from, "alice")
	got, err := to.Unpack(context.Background(), "alice", bytes.NewReader(pack(t, from, "alice", PackOptions{})), UnpackOptions{})
	require.NoError(t, err)
	require.True(t, got.Whole)
	require.Zero(t, got.Renamed)
	require.Equal(t, before, portrait(t, to, "alice"))
	sound(t, to)

	deliver(t, to, "more", "alice")
	back := boxOf(t, to, "alice", "INBOX")
	status, err := back.Status(context.Background())
	require.NoError(t, err)
	require.EqualValues(t, 1, status.Recent)
	require.Equal(t, before, portrait(t, from, "alice"), "packing changes nothing")
}
