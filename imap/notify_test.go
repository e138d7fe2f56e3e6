package imap

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// notified returns a client of alice that asked for this, and another that
// makes changes.
func notified(t *testing.T, set string) (c, other *client) {
	t.Helper()
	s, addr := newServer(t, nil)
	deliver(t, s.Store, plainMessage)
	deliver(t, s.Store, mixedMessage)
	other = login(t, addr)
	other.ok("CREATE Lists/Go")
	other.ok("CREATE Work")
	c = login(t, addr)
	c.ok("SELECT INBOX")
	c.ok("NOTIFY " + set)
	return c, other
}

func appendTo(c *client, mailbox string) {
	c.ok("APPEND " + mailbox + " {19+}\r\nSubject: x\r\n\r\nbody\r")
}

func TestNotifyTellsOfTheSelectedMailboxBetweenCommands(t *testing.T) {
	c, other := notified(t, "SET (SELECTED (MessageNew (UID BODY[HEADER.FIELDS (SUBJECT)]) MessageExpunge FlagChange))")
	other.ok("SELECT INBOX")
	appendTo(other, "INBOX")
	require.Equal(t, "* 3 EXISTS", c.line())
	require.Contains(t, c.line(), "RECENT")
	require.Equal(t, "* 3 FETCH (UID 3 BODY[HEADER.FIELDS (SUBJECT)] {14}", c.line())
	require.Equal(t, "Subject: x", c.line())
	require.Equal(t, "", c.line())
	require.Equal(t, ")", c.line())
	other.ok(`STORE 3 +FLAGS (\Flagged)`)
	require.Equal(t, `* 3 FETCH (UID 3 FLAGS (\Flagged))`, strings.ReplaceAll(c.line(), ` \Recent`, ""), "showing it did not set \\Seen")
	other.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	require.Equal(t, `* 1 FETCH (UID 1 FLAGS (\Deleted))`, strings.ReplaceAll(c.line(), ` \Recent`, ""))
	other.ok("EXPUNGE")
	require.Equal(t, "* 1 EXPUNGE", c.line())
	require.Contains(t, c.ok("UID FETCH 1:* (UID)"), "* 2 FETCH (UID 3)")
}

func TestNotifyDelaysExpungesUntilACommandAllowsThem(t *testing.T) {
	c, other := notified(t, "SET (selected-delayed (MessageNew MessageExpunge))")
	other.ok("SELECT INBOX")
	other.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	other.ok("EXPUNGE")
	appendTo(other, "INBOX")
	require.Equal(t, "* 3 EXISTS", c.line())
	require.Contains(t, c.line(), "RECENT")
	require.Contains(t, c.ok("NOOP"), "* 1 EXPUNGE")
}

func TestNotifyOfFlagsIsOnlyGivenWhenAskedFor(t *testing.T) {
	c, other := notified(t, "SET (SELECTED (MessageNew MessageExpunge))")
	other.ok("SELECT INBOX")
	other.ok(`STORE 1 +FLAGS (\Flagged)`)
	require.NotContains(t, c.ok("NOOP"), "FETCH")
	require.Contains(t, c.ok("FETCH 1 FLAGS"), `\Flagged`)
}

func TestNotifyTellsOfOtherMailboxesByStatus(t *testing.T) {
	c, other := notified(t, "SET STATUS (SELECTED (MessageNew MessageExpunge)) (MAILBOXES Work (MessageNew MessageExpunge)) (SUBTREE Lists (MessageNew MessageExpunge FlagChange))")
	appendTo(other, "Work")
	require.Regexp(t, `^\* STATUS Work \(MESSAGES 1 UIDNEXT 2 UIDVALIDITY \d+\)$`, c.line())
	appendTo(other, "Lists/Go")
	require.Regexp(t, `^\* STATUS Lists/Go \(MESSAGES 1 UIDNEXT 2 UIDVALIDITY \d+ UNSEEN 1\)$`, c.line())
	for _, box := range []string{"Work", "Lists/Go"} {
		other.ok("SELECT " + box)
		other.ok(`STORE 1 +FLAGS (\Seen)`)
	}
	require.Regexp(t, `^\* STATUS Lists/Go \(MESSAGES 1 UIDNEXT 2 UIDVALIDITY \d+ UNSEEN 0\)$`, c.line(), "flags of Work were not asked for")
	appendTo(other, "INBOX")
	require.Equal(t, "* 3 EXISTS", c.line(), "the selected mailbox is told of by itself")
}

func TestNotifyStatusIsToldAtOnceWhenAskedFor(t *testing.T) {
	c, _ := notified(t, "NONE")
	told := c.ok("NOTIFY SET STATUS (SELECTED (MessageNew MessageExpunge)) (PERSONAL (MessageNew MessageExpunge))")
	require.Contains(t, told, "* STATUS Work (MESSAGES 0 UIDNEXT 1 UIDVALIDITY")
	require.NotContains(t, told, "* STATUS INBOX")
	require.NotContains(t, c.ok("NOTIFY SET (PERSONAL (MessageNew MessageExpunge))"), "STATUS")
}

func TestNotifyOfNamesTellsCreationRenamingAndDeletion(t *testing.T) {
	c, other := notified(t, "SET (PERSONAL (MailboxName SubscriptionChange))")
	other.ok("CREATE New")
	require.Equal(t, `* LIST (\HasNoChildren) "/" New`, c.line())
	other.ok("RENAME New Newer")
	require.Equal(t, `* LIST (\HasNoChildren) "/" Newer ("OLDNAME" (New))`, c.line())
	other.ok("SUBSCRIBE Newer")
	require.Equal(t, `* LIST (\HasNoChildren \Subscribed) "/" Newer`, c.line())
	other.ok("UNSUBSCRIBE Newer")
	require.Equal(t, `* LIST (\HasNoChildren) "/" Newer`, c.line())
	other.ok("DELETE Newer")
	require.Equal(t, `* LIST (\NonExistent) "/" Newer`, c.line())
}

func TestNotifyWatchesMailboxesThatAreMadeLater(t *testing.T) {
	c, other := notified(t, "SET (SUBTREE Lists (MessageNew MessageExpunge))")
	other.ok("CREATE Lists/Rust")
	appendTo(other, "Lists/Rust")
	require.Contains(t, c.line(), "* STATUS Lists/Rust (MESSAGES 1")
}

func TestNotifyTellsTheFirstGroupThatIsAboutAMailbox(t *testing.T) {
	c, other := notified(t, "SET (MAILBOXES Work NONE) (PERSONAL (MessageNew MessageExpunge))")
	appendTo(other, "Work")
	appendTo(other, "Lists")
	require.Contains(t, c.line(), "* STATUS Lists (")
}

func TestNotifyTellsOfAnnotations(t *testing.T) {
	c, other := notified(t, "SET (PERSONAL (MailboxMetadataChange ServerMetadataChange))")
	other.ok(`SETMETADATA Work (/shared/comment "x" /private/a "y")`)
	require.Equal(t, "* METADATA Work /private/a /shared/comment", c.line())
	other.ok(`SETMETADATA Work (/shared/comment "x" /private/a NIL)`)
	require.Equal(t, "* METADATA Work /private/a", c.line())
	other.ok(`SETMETADATA "" (/private/b "z")`)
	require.Equal(t, `* METADATA "" /private/b`, c.line())
	other.ok("CREATE Silent")
	other.ok(`SETMETADATA Silent (/private/b "z")`)
	require.Equal(t, "* METADATA Silent /private/b", c.line())
}

func TestNotifyTellsOfAnnotationsThatAreOlderThanTheNewsOfTheirMailbox(t *testing.T) {
	c, other := notified(t, "SET (PERSONAL (MailboxMetadataChange))")
	c.send("a APPEND INBOX {5}\r\n") // nothing is told until the command has ended
	require.Contains(t, c.line(), "+ ")
	other.ok("CREATE Silent")
	other.ok(`SETMETADATA Silent (/private/b "z")`)
	c.send("hello\r\n")
	untagged, answer := c.until("a")
	require.Contains(t, answer, "OK")
	require.Contains(t, untagged, "* METADATA Silent /private/b\r\n")
}

func TestNotifyTellsOfMailboxesOfOthers(t *testing.T) {
	s, addr := newServer(t, sharing)
	allow(t, s.Store, "bob", "Box", "alice", "lr")
	allow(t, s.Store, "bob", "Look", "alice", "l")
	deliverTo(t, s.Store, "bob", "Box", plainMessage)
	c := login(t, addr)
	c.ok(`NOTIFY SET (SUBTREE "Other Users/bob" (MessageNew MessageExpunge FlagChange MailboxName))`)
	deliverTo(t, s.Store, "bob", "Secret", plainMessage)
	deliverTo(t, s.Store, "bob", "Look", plainMessage)
	deliverTo(t, s.Store, "bob", "Box", plainMessage)
	require.Regexp(t, `^\* STATUS "Other Users/bob/Box" \(MESSAGES 2 UIDNEXT 3 UIDVALIDITY \d+ UNSEEN 2\)$`, c.line())
	b := dial(t, addr)
	b.ok("LOGIN bob hunter2")
	b.ok("SETACL Secret alice lr")
	require.Equal(t, `* LIST (\HasNoChildren) "/" "Other Users/bob/Secret"`, c.line())
	b.ok("DELETEACL Box alice")
	require.Equal(t, `* LIST (\NonExistent) "/" "Other Users/bob/Box"`, c.line())
	c.ok("NOTIFY NONE")
	deliverTo(t, s.Store, "bob", "Secret", plainMessage)
	require.Empty(t, c.ok("NOOP"))
}

func TestNotifyInsideIdleTellsTheSame(t *testing.T) {
	c, other := notified(t, "SET (SELECTED-DELAYED (MessageNew MessageExpunge)) (PERSONAL (MessageNew MessageExpunge))")
	c.send("i IDLE\r\n")
	require.Equal(t, "+ idling", c.line())
	appendTo(other, "Work")
	require.Contains(t, c.line(), "* STATUS Work (")
	other.ok("SELECT INBOX")
	other.ok(`STORE 1 +FLAGS (\Deleted)`)
	other.ok("EXPUNGE")
	require.Equal(t, "* 1 EXPUNGE", c.line())
	c.send("DONE\r\n")
	_, answer := c.until("i")
	require.Contains(t, answer, "OK")
}

func TestNotifyThatOverflowsIsTurnedOff(t *testing.T) {
	n := &notifier{groups: make([]eventGroup, 1)}
	for i := range maxNotifyPending + 10 {
		n.note(storage.Change{Mailbox: storage.MailboxID(i + 1)})
	}
	ids, _, overflow := n.take()
	require.Len(t, ids, maxNotifyPending)
	require.True(t, overflow)

	c, other := notified(t, "SET (PERSONAL (MessageNew MessageExpunge))")
	c.send("i IDLE\r\n")
	require.Equal(t, "+ idling", c.line())
	for i := range maxNotifyPending + 100 {
		other.send(fmt.Sprintf("c%d CREATE Many/%d\r\n", i, i))
		other.until(fmt.Sprintf("c%d", i))
	}
	appendTo(other, "Work")
	require.Contains(t, c.line(), "* STATUS Work", "what is told in time does not pile up")
}

func TestNotifyRefusesWhatTheRFCForbids(t *testing.T) {
	c, _ := notified(t, "NONE")
	for set, want := range map[string]string{
		"SET (SELECTED (AnnotationChange MessageNew MessageExpunge))":                               "NO [BADEVENT (",
		"SET (PERSONAL (ServerMetadataChange))":                                                     "OK",
		"SET (SELECTED (MessageNew))":                                                               "BAD",
		"SET (SELECTED (MessageExpunge FlagChange))":                                                "BAD",
		"SET (SELECTED (FlagChange))":                                                               "BAD",
		"SET (SELECTED (MessageNew MessageExpunge MailboxName))":                                    "BAD",
		"SET (SELECTED (MessageNew MessageExpunge)) (SELECTED-DELAYED (MessageNew MessageExpunge))": "BAD",
		"SET (PERSONAL (MessageNew (UID) MessageExpunge))":                                          "BAD",
		"SET (SUBTREE-ONE Lists (MailboxName))":                                                     "OK",
		"SET (SUBTREE (MailboxName))":                                                               "BAD",
		"SET (MAILBOXES () (MailboxName))":                                                          "BAD",
		"SET (BOGUS (MailboxName))":                                                                 "BAD",
		"SET (PERSONAL ())":                                                                         "BAD",
		"SET":                                                                                       "BAD",
		"SET STATUS":                                                                                "BAD",
		"SET (PERSONAL (Nothing))":                                                                  "BAD",
		"SET (MAILBOXES (" + strings.Repeat("a ", maxNotifyNames) + "a) (MailboxName))":               "BAD",
		"SET" + strings.Repeat(" (PERSONAL (MailboxName))", maxEventGroups+1):                         "BAD",
		"SET (SELECTED (MessageNew (" + strings.Repeat("UID ", maxItems) + "UID) MessageExpunge))":    "BAD",
		"SET (SELECTED NONE) (PERSONAL (MailboxName))":                                                "OK",
		"SET (MAILBOXES (missing \"&bad\" Work) (MessageNew MessageExpunge)) (INBOXES (MailboxName))": "OK",
	} {
		_, answer := c.cmd("NOTIFY " + set)
		require.Contains(t, answer, want, "%.100s", set)
		c.ok("NOOP")
	}
}

// busyMailbox is one into which mail comes while flags change.
type busyMailbox struct {
	storage.Mailbox
	arrive func()
}

func (b busyMailbox) StoreFlags(ctx context.Context, u storage.FlagUpdate) ([]storage.Message, imap.UIDSet, error) {
	b.arrive()
	return b.Mailbox.StoreFlags(ctx, u)
}

func TestNotifyShowsMessagesThatComeDuringAStore(t *testing.T) {
	s, _ := newestView(t, 1, func(m storage.Mailbox) storage.Mailbox {
		return busyMailbox{m, func() {
			_, err := m.Append(t.Context(), storage.NewMessage{Body: message.FromBytes([]byte("x\r\n"))})
			require.NoError(t, err)
		}}
	})
	s.extensions = 0
	s.view.rights = storage.AllRights
	s.notify.Store(&notifier{groups: make([]eventGroup, 1), selected: eventGroup{
		events: messageEvents, items: []fetchItem{simpleItems["UID"]},
	}})
	r := &storeRequest{set: numSet{ranges: []imap.SeqRange{{Start: 1, Stop: 1}}}, op: imap.StoreFlagsAdd, flags: storage.NewFlags("x")}
	_, err := r.run(t.Context(), s)
	require.NoError(t, err)
	require.Contains(t, string(s.out.b), "* 2 EXISTS\r\n")
	require.Contains(t, string(s.out.b), "* 2 FETCH (UID 2)\r\n")
}
