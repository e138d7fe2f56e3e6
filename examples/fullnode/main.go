// Fullnode is a whole mail server on one machine, composed from Posthouse's
// parts: SMTP, submission and LMTP in, IMAP and POP3 out, a durable queue, a
// directory of accounts, and HTTP for health and metrics.
//
//	fullnode [-config FILE] [-data DIR] [command]
//
// Without a command it serves. The other commands work while a node serves
// the data directory and while none does: see usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/posthouse-mail/posthouse/examples/internal/moving"
)

const usage = `usage: fullnode [-config FILE] [-data DIR] [COMMAND]

commands:
  serve                      run the node (the default)
  user add NAME              add an account; the password is the first line of standard input
  user passwd NAME           set an account's password, read likewise
  user list                  list the accounts
  user remove NAME           remove an account and its mail
  domain list                list the local domains, the primary one first
  domain add DOMAIN          make a domain local
  domain alias NAME DOMAIN   make NAME another name of a domain; domain unalias NAME takes it away
  domain catch-all DOMAIN [USER [MAILBOX]]
                             give somebody, or a foreign address, what is for nobody in a
                             domain; without one, such mail is refused
  alias list                 list the aliases of accounts
  alias add ALIAS TO         make an address lead to an account, another alias or a foreign address
  alias remove ALIAS         remove an alias
  group list                 list the groups and their members
  group set GROUP [MEMBER ...]
                             make a group of accounts, aliases, groups and foreign addresses, or
                             change who is in it; its mail goes to all of them
  group remove GROUP         remove a group
  folder set ADDRESS USER MAILBOX
                             make an address lead to a mailbox; USER is @DOMAIN for a public folder
  folder remove ADDRESS      remove such an address
  ban list                   list the accounts and networks that are banned for guessing passwords
                             (of the node that runs), and until when
  ban lift USER|NETWORK      end a ban
  queue list                 list what waits to be sent
  queue show ID              show a queued message
  queue retry [ID ...]       try again now: these messages, or all
  queue remove ID [ID ...]   drop queued messages without a report
  quota show [USER]          show what accounts hold and may hold, or all mailboxes of one
  quota set USER [KEY=VALUE ...]
                             bound an account: bytes=10G, messages=N, mailboxes=N, 0 for no
                             bound; with mailbox=NAME one of its mailboxes. What is not
                             named stays as it is
  quota reset USER [mailbox=NAME]
                             let the domain's quota hold again
  mailbox list USER          list the mailboxes of an account, or for @DOMAIN the public folders of a
                             local domain, as in all commands of mailbox, acl and undelete
  mailbox create [-kind mail|calendar|contacts|tasks|notes|journal] USER NAME
                             make a mailbox; without a kind that of the one above, or mail
  mailbox rename USER FROM TO
                             rename a mailbox with those below it
  mailbox delete USER NAME   delete a mailbox and its messages
  acl show USER [MAILBOX]    show the access control list of a mailbox, or of the account itself
  acl set USER MAILBOX IDENTIFIER RIGHTS
                             give an account, anyone or group:NAME rights: letters of RFC 4314,
                             +LETTERS, -LETTERS, or no-access, viewer, contributor, editor or
                             master. "-" before the identifier: rights that it is denied.
                             The mailbox "." is the account itself, in all commands of acl
  acl remove USER MAILBOX IDENTIFIER
                             take them away; with "-" before the identifier what it is denied
  acl rights USER MAILBOX WHO
                             show what an account, or anyone, may do there
  undelete list USER         list expunged messages that can be restored (see retention)
  undelete restore USER [-into MAILBOX] [ID ...]
                             restore these messages, or all, where they were or into one mailbox
  undelete discard USER {-all | ID [ID ...]}
                             remove them for good
  purge                      expunge now what is too old for Trash and Junk, as is done daily
  check                      verify the data directory; exit status 1 and a line per damage
  check -repair [-drop-damaged]
                             and say what will be done about each, do it, and verify again
                             (not while a node runs); -drop-damaged removes messages whose
                             content is damaged, which stay otherwise
  stats [-json] [-top N]     print what is stored where, with the N largest accounts
  snapshot DIR               copy the data directory as of one moment into the new directory DIR,
                             with links where that is possible; a node can serve the copy
  export [-format maildir|mbox] USER DIR
                             write an account's mail to DIR as Maildir++ or mbox files; again: what is new
  import [-format maildir|mbox] USER DIR
                             store the mail of DIR in an account; again: what is not stored yet
  ldap test -user NAME [-connector NAME] [-password]
                             ask a directory about a user, as the servers do: the filter, the entry,
                             its attributes and groups, where it routes, and with -password, whether
                             the first line of standard input is the password; exit status 1 and a
                             sentence when something is missing (needs no data directory)
  config                     print the effective configuration
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	if err != nil {
		if !errors.Is(err, errReported) {
			fmt.Fprintln(os.Stderr, "fullnode:", err)
		}
		os.Exit(1)
	}
}

// errReported is the error of a command that has printed what is wrong.
var errReported = errors.New("reported")

// run is main with its surroundings as arguments.
func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("fullnode", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage+moving.Usage+"\nflags:\n")
		flags.PrintDefaults()
	}
	configFile := flags.String("config", "", "configuration `file` (TOML); every key is optional")
	data := flags.String("data", "./fullnode-data", "data `directory`")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return errReported // the flag set has printed it
	}
	config, err := loadConfig(*configFile)
	if err != nil {
		return err
	}
	switch flags.Arg(0) {
	case "", "serve":
		return serve(ctx, config, *data, out)
	case "config":
		return config.write(out)
	case "ldap":
		return ldapTest(ctx, &command{config: config, in: in, out: out}, flags.Args()[1:])
	default:
		return runCommand(ctx, &command{config: config, data: *data, in: in, out: out}, flags.Args())
	}
}
