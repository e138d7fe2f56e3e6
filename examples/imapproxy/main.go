// Imapproxy leads each user to the IMAP server that has his mail, as a file
// says, which is read again when it changes:
//
//	alice@example.test  10.0.0.11
//	*@example.net       mail2.example.net:143,tls=none
//
// Servers are reached with STARTTLS where the file says nothing else.
//
//	go run ./examples/imapproxy -addr 127.0.0.1:2143 -map users.map
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"github.com/posthouse-mail/posthouse/imap"
	"github.com/posthouse-mail/posthouse/mapping"
	"github.com/posthouse-mail/posthouse/proxy"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:2143", "where to listen")
	users := flag.String("map", "users.map", "the file that says where users are")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr, *users); err != nil {
		slog.Error("imapproxy", "err", err)
		os.Exit(1)
	}
}

// run serves at addr until ctx ends.
func run(ctx context.Context, addr, users string) error {
	file, err := mapping.OpenFile(users)
	if err != nil {
		return err
	}
	go file.Watch(ctx, time.Second, nil)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	p := &imap.Proxy{
		Front: &proxy.Front{
			Mapper:   file,
			Health:   &proxy.Health{},
			Sessions: &proxy.Sessions{},
			Own:      proxy.OwnListeners(l.Addr()),
		},
		// Without TLS a password may only travel inside this machine.
		PlainAuth: netip.Addr.IsLoopback,
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		// What moves may finish, what waits is closed; then all is cut.
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = p.Shutdown(grace)
		stopped <- p.Close()
	}()
	fmt.Println("listening on", l.Addr())
	// The sessions get a context that outlives ctx, so that they can finish.
	if err := p.Serve(context.WithoutCancel(ctx), l); !errors.Is(err, imap.ErrServerClosed) {
		return err
	}
	return <-stopped
}
