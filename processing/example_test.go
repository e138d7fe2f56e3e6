package processing_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/processing"
	memoryqueue "github.com/posthouse-mail/posthouse/queue/memory"
	"github.com/posthouse-mail/posthouse/smtp"
	"github.com/posthouse-mail/posthouse/smtp/sender"
	memorystore "github.com/posthouse-mail/posthouse/storage/memory"
)

// oneUser is a directory of one domain with one account.
type oneUser struct{}

func (oneUser) Local(_ context.Context, domain string) (bool, error) {
	return domain == "example.test", nil
}

func (oneUser) Resolve(_ context.Context, a mail.Address) ([]directory.Recipient, error) {
	if a.Key() != "alice@example.test" {
		return nil, directory.ErrUnknown
	}
	return []directory.Recipient{{Account: "alice@example.test"}}, nil
}

// A mail system: a server in front, mailboxes and a queue behind, and a
// smart host for everything that goes out.
func Example() {
	p, err := processing.New(processing.Options{
		Hostname:  "mx.example.test",
		Directory: oneUser{},
		Store:     memorystore.New(),
		Queue:     memoryqueue.New(),
		Sender:    sender.New(sender.Options{Hostname: "mx.example.test"}),
		Router:    processing.Rules{{Route: sender.Route{Hosts: []sender.Host{{Name: "smarthost.example.net", TLS: sender.TLSStart}}}}},
		Trusted:   []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		panic(err)
	}
	server := &smtp.Server{Hostname: "mx.example.test", Handler: p, Hooks: []smtp.Hooks{p.Hooks()}}
	_ = server // serve it with server.Serve, and work the queue off with p.Run

	err = p.Handle(context.Background(), &smtp.Message{
		ID: "M1", Session: &smtp.Session{}, Body: message.FromBytes([]byte("Subject: hi\r\n\r\nhello\r\n")),
		Envelope: mail.Envelope{Recipients: []mail.Recipient{{To: mail.MustParseAddress("alice@example.test")}}},
	})
	fmt.Println(err)
	// Output: 250 2.0.0 Accepted as M1
}
