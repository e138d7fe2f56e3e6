# Uses Perl's Mail::IMAPClient as programs do:
# imapclient.pl HOW HOST:PORT AUTHORITIES USER PASSWORD
use strict;
use warnings;
use Mail::IMAPClient;

my ( $how, $address, $authorities, $user, $password ) = @ARGV;
my ( $host, $port ) = $address =~ /^(.*):(\d+)$/;
my @trust  = ( SSL_ca_file => $authorities, SSL_verify_mode => 1 );
my %secure = $how eq "TLS" ? ( Ssl => [@trust] ) : $how eq "STARTTLS" ? ( Starttls => [@trust] ) : ();

sub connected {
    my $c = Mail::IMAPClient->new(
        Server => $host, Port => $port, %secure, User => $user, Password => $password, Uid => 1, Peek => 1, Timeout => 30, @_,
    ) or die "login: $@";
    return $c;
}

sub message {
    my $i = shift;
    return "From: Someone <someone\@example.org>\r\nSubject: message $i\r\nDate: Mon, 23 Nov 2026 10:0$i:00 +0000\r\n"
      . "Message-ID: <$i\@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n"
      . "--b\r\n\r\nbody $i\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>body</p>\r\n--b--\r\n";
}

sub is {
    my ( $got, $want, $what ) = @_;
    $got = join( " ", @$got ) if ref $got eq "ARRAY";
    die "$what: got '" . ( $got // "nothing" ) . "', not '$want'" unless defined $got && $got eq $want;
}

my $m = connected();
for my $name ( "Perl", "Perl moved", "Perl/sub" ) { $m->create($name) or die "create $name: $@" }
my %folders = map { $_ => 1 } $m->folders;
die "folders: " . join( ", ", keys %folders ) unless $folders{"Perl moved"} && $folders{"Perl/sub"};
for my $i ( 1 .. 4 ) { is( $m->append_string( "Perl", message($i), $i == 2 ? "\\Seen" : undef ), $i, "APPENDUID" ) }
$m->select("Perl") or die "select: $@";
is( $m->message_count, 4, "message_count" );
is( $m->unseen_count, 3, "unseen_count" );
is( scalar $m->search( "SUBJECT", "message 3" ), "3", "search" );
is( scalar $m->messages, "1 2 3 4", "messages" );
if ( $m->has_capability("SORT") ) {
    is( scalar $m->sort( "REVERSE DATE", "UTF-8", "ALL" ), "4 3 2 1", "sort" );
    print "sorted\n";
}
if ( $m->has_capability("THREAD=REFERENCES") ) {
    my $threads = $m->thread("REFERENCES") or die "thread: $@";
    is( scalar @$threads, 4, "threads" );
    print "threaded\n";
}
is( $m->message_string(3), message(3), "message_string" );
is( $m->bodypart_string( 2, 2 ), "<p>body</p>", "bodypart_string" );
is( $m->subject(4), "message 4", "subject" );
my $structure = $m->get_bodystructure(1) or die "bodystructure: $@";
is( join( " ", $structure->parts ), "1 2", "parts" );
my $envelope = $m->get_envelope(2) or die "envelope: $@";
is( $envelope->messageid, "<2\@example.org>", "messageid" );
my $hash = $m->fetch_hash("RFC822.SIZE") or die "fetch_hash: $@";
is( $hash->{1}{"RFC822.SIZE"}, length message(1), "RFC822.SIZE" );
my $headers = $m->parse_headers( [ 1 .. 4 ], "Subject" ) or die "parse_headers: $@";
is( $headers->{2}{Subject}[0], "message 2", "parse_headers" );

$m->set_flag( "Flagged", 1 ) or die "flag: $@";
is( scalar $m->search("FLAGGED"), "1", "flagged" );
$m->move( "Perl moved", 2 ) or die "move: $@";
$m->delete_message(2) if grep { $_ == 2 } $m->messages;
$m->delete_message(4) or die "delete: $@";
$m->expunge or die "expunge: $@";
is( scalar $m->messages, "1 3", "messages that are left" );

my $tag = $m->idle or die "idle: $@";
$m->done($tag) or die "done: $@";
$m->logout or die "logout: $@";

$m = connected( Authmechanism => "PLAIN" );
if ( $m->has_capability("COMPRESS=DEFLATE") && eval { require Compress::Zlib; 1 } ) {
    $m->compress or die "compress: $@";
    $m->select("Perl") or die "select, compressed: $@";
    is( $m->message_string(3), message(3), "message_string, compressed" );
    print "compressed\n";
}
$m->delete("Perl/sub") or die "delete: $@";
$m->logout or die "logout: $@";
print "all is well\n";
