package main

// backConfig is the configuration of a back end: its name, its address, the
// two front ends, the directory. Whose mailHost is another back end can't log
// in here, and gets his mail by way of a front end.
const backConfig = `hostname = "%[1]s.example.test"
address = "%[2]s"
host = "%[2]s"
trusted_front_ends = ["%[3]s/32", "%[4]s/32"]
forward_to = ["%[3]s:1025", "%[4]s:1025"]
drain = "2s"

[ldap]
uris = ["%[5]s"]
bind_dn = "cn=mail,ou=services,dc=example,dc=test"
bind_password = "mailpw"
base = "dc=example,dc=test"
filter = "(&(|(mail=%%e)(mailLocalAddress=%%e))(mailHost=%[2]s))"
domains = ["example.test"]
`

// frontConfig is the configuration of a front end: its name, its address, the
// directory.
const frontConfig = `hostname = "%[1]s.example.test"
state = "%[1]s"
control = "%[2]s:1081"
domains = ["example.test"]
drain = "2s"

[ldap.main]
uris = ["%[3]s"]
bind_dn = "cn=mail,ou=services,dc=example,dc=test"
bind_password = "mailpw"
base = "dc=example,dc=test"
filter = "(|(mail=%%e)(mailLocalAddress=%%e))"

[map.users]
sources = ["ldap:main"]
user_attribute = "mail"
loopback = true

[backend]
ca_file = "backends.pem"
tell = ["id", "xclient"]
sources = ["%[2]s"]

[[service]]
protocol = "imap"
map = "users"
listen = ["%[2]s:1143"]
backend_port = 2143

[[service]]
protocol = "pop3"
map = "users"
listen = ["%[2]s:1110"]
backend_port = 2110

[[service]]
protocol = "submission"
map = "users"
listen = ["%[2]s:1587"]
backend_port = 2587

[[service]]
protocol = "smtp"
map = "users"
listen = ["%[2]s:1025"]
backend_port = 2524

[[service]]
protocol = "lmtp"
map = "users"
listen = ["%[2]s:1024"]
backend_port = 2524
`
