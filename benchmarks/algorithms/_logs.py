"""Logs of invented systems with the true template of each line, for measuring log clustering.

Everything here is made up: the systems, the templates and their wording. A template is a line of a block: its level,
then its text with fields in braces, `{name}` or `{name:argument}`, which FIELDS explains. Some templates of a system
are frequent and some come a few times in 2,000 lines, as in real logs; now and then one comes in a burst.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import accumulate

START = datetime(2031, 4, 9, 6, 15, tzinfo=UTC)
RARE = 0.25
BURST = 0.008
_FIELD = re.compile(r"\{(\w+)(?::([^{}]*))?\}")

USERS = (
    "mbarlow", "tkessler", "anouk.v", "jpetrov", "sysops", "lfontaine", "rgupta", "ychen", "deploy", "oduya",
    "hsorensen", "kmills", "backup", "cnavarro", "pwright", "eabadi", "svc-report", "zlatan.k", "fmoreau", "ntanaka",
    "guest", "bhorvat", "dlindqvist", "aosei", "monitor", "ivanka", "wstone", "qadir", "ulrike.b", "xfeng", "root",
    "jdelgado", "carmel", "tobi88", "m.ricci",
)  # fmt: skip
HOSTS = tuple(f"{name}-{number:02}" for name in ("heron", "otter", "lynx", "ibis", "vole") for number in range(1, 8))
SERVICES = (
    "catalog", "basket", "pricing", "search", "accounts", "ledger", "invoices", "shipping", "reviews", "media",
    "geo-lookup", "tax", "wishlist", "loyalty", "returns", "fraud-check",
)  # fmt: skip
TOPICS = (
    "orders.created", "orders.paid", "stock.levels", "clicks", "audit.trail", "user-profile", "email.outbound",
    "sensor.raw", "sensor.clean", "billing.events", "geo.updates", "replays", "deadletters",
)  # fmt: skip
FOLDERS = ("srv", "data", "home", "opt", "export", "scratch", "mnt", "projects", "archive", "shared", "cache", "spool")
STEMS = (
    "report", "index", "budget", "photo", "draft", "summary", "model", "notes", "backup", "trace", "plan", "ledger",
    "sample", "table", "figure",
)  # fmt: skip
SUFFIXES = ("txt", "dat", "csv", "png", "tmp", "bin", "json", "pdf", "gz", "log")
DOMAINS = ("example.org", "example.com", "mail.example.net", "corp.example", "shop.example.com", "uni.example.edu")
TARGETS = (
    "libcore", "libnet", "codec-tests", "ui-shell", "parser", "docs-site", "runtime", "bench-suite", "installer",
    "cli-tools", "schema-gen",
)  # fmt: skip
CODE = ("main", "util", "graph", "lexer", "socket", "table")
MODES = ("rw", "ro", "append", "exclusive")
CITIES = ("Kiruna", "Punta Arenas", "Hobart", "Fairbanks", "Svalbard", "Hartebeest", "Santiago", "Dongara")
TEXTS = (
    "out of stock", "please call back", "quarterly numbers", "Re: invoice", "lunch on friday?", "urgent",
    "holiday plan", "your parcel is on its way", "minutes of the meeting", "welcome aboard", "new phone number",
    "Fwd: photos",
)  # fmt: skip
REASONS = (
    "connection refused", "timed out", "no route to host", "broken pipe", "connection reset by peer", "name not found",
    "permission denied", "no space left", "end of stream", "certificate expired", "handshake failure",
)  # fmt: skip

Field = Callable[[random.Random, str], str]


def _zipf(r: random.Random, choices: Sequence[str]) -> str:
    """The first choices far more often than the last."""
    return choices[min(int(len(choices) * r.random() ** 2.2), len(choices) - 1)]


def _of(choices: Sequence[str]) -> Field:
    return lambda r, _: _zipf(r, choices)


def _hex(r: random.Random, digits: int) -> str:
    return f"{r.getrandbits(4 * digits):0{digits}x}"


def _integer(r: random.Random, text: str) -> str:
    low, _, high = (text or "0-9999").partition("-")
    return str(r.randint(int(low), int(high)))


def _wide(r: random.Random, text: str) -> str:
    """Whole numbers of very different size."""
    return str(int(r.lognormvariate(float(text or 6), 2)))


def _decimal(r: random.Random, text: str) -> str:
    low, _, high = (text or "0-100").partition("-")
    return f"{r.uniform(float(low), float(high)):.{r.choice((1, 2, 2, 3))}f}"


def _ip(r: random.Random, _: str) -> str:
    if r.random() < 0.6:
        return f"10.{r.choice((0, 4, 20))}.{r.randrange(6)}.{r.randint(1, 254)}"
    return f"{r.choice(('192.0.2', '198.51.100', '203.0.113'))}.{r.randint(1, 254)}"


def _ip6(r: random.Random, _: str) -> str:
    return "2001:db8:" + ":".join(f"{r.getrandbits(16):x}" for _ in range(r.randint(2, 5))) + "::" + _hex(r, 1)


def _endpoint(r: random.Random, _: str) -> str:
    return f"{_ip(r, '')}:{r.choice((80, 443, 8080, 9400)) if r.random() < 0.4 else r.randint(1024, 65535)}"


def _uuid(r: random.Random, _: str) -> str:
    return "-".join(_hex(r, digits) for digits in (8, 4, 4, 4, 12))


def _path(r: random.Random, _: str) -> str:
    folders = "/".join(_zipf(r, FOLDERS) for _ in range(r.randint(1, 4)))
    number = r.choice(("", f"_{r.randrange(400)}", f"-{r.randrange(20)}"))
    return f"/{folders}/{r.choice(STEMS)}{number}.{r.choice(SUFFIXES)}"


def _folder(r: random.Random, _: str) -> str:
    return "/" + "/".join(_zipf(r, FOLDERS) for _ in range(r.randint(1, 3))) + r.choice(("", "/"))


def _file(r: random.Random, _: str) -> str:
    return f"{r.choice(STEMS)}{r.choice(('', str(r.randrange(90)), '-final'))}.{r.choice(SUFFIXES)}"


def _route(r: random.Random, _: str) -> str:
    tail = r.choice(("", f"/{r.randrange(9000)}", f"/{r.choice(STEMS)}", f"?page={r.randrange(40)}&size=20"))
    return f"/v{r.choice('12')}/{_zipf(r, SERVICES)}{tail}"


def _url(r: random.Random, _: str) -> str:
    port = r.choice(("", "", ":8443"))
    return f"{r.choice(('https', 'https', 'http'))}://{_zipf(r, SERVICES)}.{r.choice(DOMAINS)}{port}{_route(r, '')}"


def _email(r: random.Random, _: str) -> str:
    return f"{_zipf(r, USERS)}@{_zipf(r, DOMAINS)}"


def _milliseconds(r: random.Random, _: str) -> str:
    return str(max(1, int(r.lognormvariate(3.2, 1.4))))


def _duration(r: random.Random, _: str) -> str:
    return r.choice((
        f"{r.randrange(1, 999)}ms", f"{r.uniform(1, 60):.2f}s", f"{r.randrange(1, 59)}m{r.randrange(60)}s",
        f"{r.randrange(1, 900)}us",
    ))  # fmt: skip


def _size(r: random.Random, _: str) -> str:
    return f"{r.uniform(1, 900):.1f} {r.choice(('KB', 'MB', 'MB', 'GB'))}"


def _packed_size(r: random.Random, _: str) -> str:
    return f"{r.randrange(1, 999)}{r.choice(('B', 'KiB', 'MiB', 'GiB'))}"


def _version(r: random.Random, _: str) -> str:
    tail = r.choice(("", "", "-rc1", "-beta.2", "+build77"))
    return f"{r.randint(0, 4)}.{r.randint(0, 20)}.{r.randint(0, 9)}{tail}"


def _identity(r: random.Random, prefix: str) -> str:
    return prefix + "".join(r.choice("abcdefghkmnpqrstuvwxyz23456789") for _ in range(10))


def _mac(r: random.Random, _: str) -> str:
    return ":".join(_hex(r, 2) for _ in range(6))


def _moment(r: random.Random, _: str) -> str:
    return (START + timedelta(seconds=r.randrange(10**7))).strftime("%Y-%m-%dT%H:%M:%SZ")


def _class(r: random.Random, _: str) -> str:
    return r.choice(("Flow", "Peer", "Frame", "Lease", "Quota")) + r.choice(("Error", "Exception", "Fault"))


def _list(r: random.Random, text: str) -> str:
    """Several of one field: its name, fewest-most, what stands between. Words are different ones."""
    name, bounds, between = text.split("~")
    low, _, high = bounds.partition("-")
    kind, _, argument = name.partition("/")
    if kind == "word":
        words = argument.split("|")
        return between.join(r.sample(words, min(r.randint(int(low), int(high)), len(words))))
    return between.join(FIELDS[kind](r, argument) for _ in range(r.randint(int(low), int(high))))


def _maybe(r: random.Random, text: str) -> str:
    """A text that is there in half of the lines."""
    return text if r.random() < 0.5 else ""


FIELDS: dict[str, Field] = {
    "n": _integer, "wide": _wide, "dec": _decimal, "ip": _ip, "ip6": _ip6, "ep": _endpoint, "uuid": _uuid,
    "path": _path, "folder": _folder, "file": _file, "route": _route, "url": _url, "email": _email, "ms": _milliseconds,
    "dur": _duration, "size": _size, "psize": _packed_size, "ver": _version, "id": _identity, "mac": _mac,
    "when": _moment, "class": _class, "list": _list, "maybe": _maybe,
    "hex": lambda r, digits: _hex(r, int(digits or 8)), "ptr": lambda r, _: "0x" + _hex(r, 12),
    "word": lambda r, words: _zipf(r, words.split("|")), "bool": lambda r, _: r.choice(("true", "true", "false")),
    "user": _of(USERS), "host": _of(HOSTS), "svc": _of(SERVICES), "topic": _of(TOPICS), "target": _of(TARGETS),
    "city": _of(CITIES), "text": _of(TEXTS), "why": _of(REASONS), "mode": _of(MODES), "domain": _of(DOMAINS),
    "bank": _of(("North Bank", "Bank of Lund", "Kreditunion", "Banco Sur")),
    "refusal": _of(("insufficient funds", "lost card", "do not honour", "limit exceeded")),
    "payee": _of(("account closed", "wrong holder", "unknown account")),
    "money": _of(("EUR", "USD", "SEK", "GBP")), "group": _of(("loader", "indexer", "mailer", "archiver")),
    "unit": _of(CODE),
    "case": lambda r, _: r.choice(("Parse", "Merge", "Retry", "Codec")) + r.choice(("Empty", "Large", "Nested")),
    "craft": _of(("LARK", "TERN-2", "GANNET", "SWIFT-B")),
    "lib": _of(("zlib", "fmtlib", "openparse", "tinyxml", "quickhash")),
    "place": lambda r, _: f"{_zipf(r, TARGETS)}/{_zipf(r, CODE)}.cc:{r.randint(1, 2000)}:{r.randint(1, 110)}",
}  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """What a header is made of."""

    r: random.Random
    at: datetime
    level: str
    component: str

    def clock(self, form: str, digits: int = 0, mark: str = ".") -> str:
        """The time, with `digits` of the fraction of its second."""
        fraction = f"{mark}{self.at.microsecond:06}"[: digits + 1] if digits else ""
        return self.at.strftime(form) + fraction


@dataclass(frozen=True)
class System:
    """One system: how its lines begin, which parts of it write, and its templates."""

    name: str
    header: Callable[[Moment], str]
    components: tuple[str, ...]
    block: str
    skew: float = 1.1

    @cached_property
    def templates(self) -> tuple[tuple[str, str], ...]:
        """Level and text of each."""
        rows = (line.strip().partition(" ") for line in self.block.strip().splitlines())
        return tuple((level, text) for level, _, text in rows)

    def weights(self, seed: int) -> tuple[float, ...]:
        """How often each template comes: by Zipf's law in an order by chance, the last ones 1 to 3 times in 2,000."""
        r = random.Random(f"{self.name} {seed}")
        count = len(self.templates)
        rare = int(count * RARE)
        usual = [1 / (place + 1) ** self.skew for place in range(count - rare)]
        total = sum(usual)
        weights = [weight / total for weight in usual] + [r.randint(1, 3) / 2000 for _ in range(rare)]
        r.shuffle(weights)
        return tuple(weights)


def lines(system: System, count: int, seed: int) -> Iterator[tuple[str, int]]:
    """So many lines, each with the number of its template. Which templates are frequent depends on the seed, too."""
    r = random.Random(f"lines of {system.name} {seed}")
    weights = system.weights(seed)
    places, bounds = range(len(weights)), list(accumulate(weights))
    at, left, place = START, 0, 0
    for _ in range(count):
        if left:
            left -= 1
        else:
            place = r.choices(places, cum_weights=bounds)[0]
            left = r.randint(3, 40) if r.random() < BURST and weights[place] > 0.002 else 0
        at += timedelta(seconds=r.expovariate(50 if left else 2))
        level, text = system.templates[place]
        component = system.components[place % len(system.components)]
        yield system.header(Moment(r, at, level, component)) + filled(text, r), place


def filled(template: str, r: random.Random) -> str:
    """The template with a value in each field."""
    return _FIELD.sub(lambda found: FIELDS[found[1]](r, found[2] or ""), template)


_NAMES = {"D": "DEBUG", "I": "INFO", "W": "WARN", "E": "ERROR"}


def _gateway(m: Moment) -> str:
    host, connection = m.r.randint(1, 3), m.r.randint(1, 400)
    return f"{m.clock('%Y-%m-%dT%H:%M:%S', 3)}Z gw-{host} {_NAMES[m.level]:<5} [conn-{connection}] {m.component}: "


def _scheduler(m: Moment) -> str:
    return f"[{m.clock('%d.%m.%Y %H:%M:%S')}] <{_NAMES[m.level].lower()}> ({m.component}/{m.r.randint(1, 12)}) "


def _store(m: Moment) -> str:
    return f"{m.clock('%H:%M:%S', 3)} #{m.r.randint(0, 7)} {m.component} {_NAMES[m.level].lower()}: "


def _relay(m: Moment) -> str:
    process = f"mx{m.r.randint(1, 4)} {m.component}[{m.r.randint(300, 9999)}]"
    return f"{m.clock('%b')} {m.at.day:>2} {m.clock('%H:%M:%S')} {process}: "


def _broker(m: Moment) -> str:
    thread = m.r.choice((f"io-worker-{m.r.randint(1, 8)}", "housekeeper", f"replica-{m.r.randint(0, 4)}"))
    return f"{m.clock('%Y-%m-%d %H:%M:%S', 3, ',')} [{thread}] {_NAMES[m.level]:<5} org.tern.{m.component} - "


def _files(m: Moment) -> str:
    return f"{int(m.at.timestamp())}.{m.at.microsecond:06} fs{m.r.randint(1, 2):02} {m.level} {m.component}: "


def _payments(m: Moment) -> str:
    where = f"{m.component}.go:{sum(map(ord, m.component + m.level)) % 300}"
    return f"time={m.clock('%Y-%m-%dT%H:%M:%S')}+02:00 level={_NAMES[m.level].lower()} caller={where} "


def _mobile(m: Moment) -> str:
    return f"{m.level} {m.clock('%m/%d %H:%M:%S', 3)} {m.r.randint(2000, 2040)} [{m.component}] "


def _nothing(_: Moment) -> str:
    return ""


def _switch(m: Moment) -> str:
    return f"sw-core-{m.r.randint(1, 2)} {m.clock('%Y/%m/%d %H:%M:%S')} {m.component}<{'DIWE'.index(m.level)}>: "


def _station(m: Moment) -> str:
    state = {"D": "TRACE", "I": "INFO", "W": "WARNING", "E": "ALERT"}[m.level]
    return f"{m.clock('%Y.%j.%H:%M:%S', 2)} | {m.component} | {state} | "


def _agent(m: Moment) -> str:
    line = sum(map(ord, m.component)) % 700
    return f"{m.level}{m.clock('%m%d %H:%M:%S', 6)} {m.r.randint(1, 3):>7} {m.component}.go:{line}] "


def _library(m: Moment) -> str:
    return f"{m.clock('%a %b')} {m.at.day} {m.clock('%H:%M:%S %Y')} - {m.component} - "


GATEWAY = r"""
I {word:GET|POST|PUT|DELETE|HEAD} {route} answered {n:200-204} to {ip} in {ms} ms, {wide} bytes
I accepted client {ep} over {word:h2|http/1.1|h3}
D client {ep} went away after {n:1-90} requests
W upstream {svc} at {ep} slow: {ms} ms for first byte (limit {n:200-500} ms)
E upstream {svc} at {ep} gave no answer: {why}
I retrying {route} on next upstream, attempt {n:2-4} of 4
W breaker for {svc} opened after {n:5-40} failures in {n:5-30}s
I breaker for {svc} half-open, letting {n:1-5} probes through
I breaker for {svc} closed
I certificate for {domain} renewed, valid until {when}
W certificate for {domain} ends in {n:1-20} days
E certificate for {domain} could not be renewed: {why}
D cache hit key={hex:16} age={n:0-3600}s route={route}
D cache miss key={hex:16} route={route}
D cache stale key={hex:16} age={n:0-9600}s route={route}
I purged {n:1-3000} entries with tag '{word:product|price|user|static}' on request of {user}
W client {ip} over its rate: {n:100-900} requests in 10s, refused with 429
I rate of client {ip} back to normal
W rejected token of {user}: {word:expired|bad signature|unknown issuer|not yet valid}
I routes reloaded from {path}: {n:1-9} added, {n:0-4} removed, {n:30-90} in all
E routes not reloaded, {path} line {n:1-400}: unexpected '{word:,|;|end of file|word}'
I upstreams of {svc} now [{list:ep~1-5~, }]
I health of {ep} changed from {word:up|down|draining} to {word:down|up|draining}
D health check of {ep} passed in {dur}
W health check of {ep} failed: {why}
I upgrade to websocket for {route}, session {uuid}
I websocket {uuid} ended with code {n:1000-1011}, {wide} frames in, {wide} out
W request body of {psize} from {ip} larger than allowed, dropped
W header block of {psize} from {ip} larger than allowed, dropped
E worker {n:0-15} died with signal {n:6-11}, starting another
I worker {n:0-15} ready, pid {n:1000-30000}
I draining worker {n:0-15}, {n:0-80} connections left
D trace {hex:32} sampled at {dec:0-1}
I access list '{word:office|partners|blocked|crawlers}' has {n:1-900} networks
W blocked {ip} by access list '{word:office|partners|blocked|crawlers}' for {route}
I compression saved {n:10-90}% on {route} ({psize} to {psize})
E out of file descriptors ({n:1000-65000} in use), pausing accept for {dur}
I shadow traffic for {svc}: {bool}
I listening on {ip}:{n:80-9000}
I gateway {ver} starting with config {path}
"""

SCHEDULER = r"""
I job {n:10000-99999} queued by {user} on {word:short|long|gpu|night} with priority {n:1-100}
I job {n:10000-99999} started on {host}, {n:1-64} cores, {psize} memory
I job {n:10000-99999} finished in {dur}
W job {n:10000-99999} finished in {dur} with exit code {n:1-255}
I job {n:10000-99999} cancelled by {user}
W job {n:10000-99999} killed: used {psize} of {psize} memory
W job {n:10000-99999} killed: over its time of {n:1-48} hours
I job {n:10000-99999} held until {list:n/10000-99999~1-4~,} end
I job {n:10000-99999} released
I array {n:10000-99999}[{n:0-99}] expanded to {n:2-500} tasks
D {n:0-900} jobs looked at, {n:0-60} placed, pass took {ms} ms
I node {host} joined with {n:8-128} cores and {n:32-1024} GB
W node {host} silent for {n:30-600} s
E node {host} lost, {n:0-12} jobs put back
I node {host} set to {word:drain|idle|offline|maintenance} by {user}: "{text}"
I reservation {word:course|demo|lab|upgrade}-{n:1-40} on {list:host~1-6~,} from {when} to {when}
D fair share of {user} is {dec:0-1} (used {wide:8} core hours)
D fair share of group {word:physics|chemistry|biology|maths|finance} is {dec:0-1} (used {wide:8} core hours)
W quota of {user} used up: {n:90-100}% of {n:1000-90000} core hours
I mail to {email} about job {n:10000-99999}
E could not mail {email}: {why}
E prolog {path} on {host} failed with status {n:1-127}
E epilog {path} on {host} failed with status {n:1-127}
W job {n:10000-99999} asks for {n:65-512} cores, {word:short|long|gpu|night} has nodes of {n:16-64}
I state saved to {path} in {ms} ms
I backup scheduler {host} is in step, lag {n:0-900} ms
W backup scheduler {host} out of step, lag {n:1000-90000} ms
I taking over from {host}
D backfill: window {n:1-900} min, {n:0-40} candidates
I licence {word:solver|mesher|viewer}: {n:0-20} of {n:20-40} seats taken
I config {path} read again on signal {n:1-12}
W unknown option '{word:nice|gang|burst_pool|topology}' in {path}, line {n:1-300}
I partition night open
I partition night closed
E database {ep} not reachable ({why}), keeping {n:1-9000} records
I {n:1-9000} records written to database {ep}
I step {n:10000-99999}.{n:0-20} of {user} launched on {n:1-16} nodes
"""

STORE = r"""
I snapshot {hex:12} begun, {wide:9} keys
I snapshot {hex:12} done in {dur}: {size} on disk
E snapshot {hex:12} failed: {why}
D flush of memtable {n:1-5000} to {file} ({psize})
D compaction L{n:0-5}->L{n:1-6}: {n:2-12} files in, {n:1-6} out, {size} read, {size} written
W compaction behind by {size}, writes slowed to {n:1-50} MB/s
I writes at full speed again
D get {word:user|cart|session|flag|rate}:{n:1-99999} -> hit
D get {word:user|cart|session|flag|rate}:{n:1-99999} -> miss
D set {word:user|cart|session|flag|rate}:{n:1-99999} ttl={n:10-86400}
D del {word:user|cart|session|flag|rate}:{n:1-99999} -> {n:0-1}
W slow command {word:scan|mget|union|sort} took {ms} ms from {ep} args={n:1-500}
I client {ep} connected, {n:1-900} open
I client {ep} disconnected, {n:1-900} open
W client {ep} not authenticated as {user}
E client {ep} protocol error near byte {n:0-9000}: {hex:8}
I replica {ep} attached at offset {n:100000-99999999}
W replica {ep} lags {n:1-90} s, {size} to send
E replica {ep} dropped: {why}
I full sync to {ep}, {n:0-100}%
I leader is now {ep} (term {n:1-90})
W vote refused to {ep}: term {n:1-90} < {n:1-90}
I slot {n:0-16383} moving to {ep}
I slot {n:0-16383} moved to {ep} with {wide:4} keys
I evicted {wide:4} keys, policy {word:lru|lfu|ttl|none}, memory {n:80-100}%
D expired {wide:3} keys in {n:1-40} ms
E checksum of block {n:1-90000} in {file} is {hex:8}, wanted {hex:8}
W fsync took {n:100-9000} ms
I config set {word:maxmem|timeout|loglevel|hz|policy} = {word:512mb|300|debug|20|lru}
I script {hex:40} loaded by {user}
W script {hex:40} stopped after {n:5-30} s
I opening {folder} format {n:3-5} with {n:1-8} threads
I recovered {wide:7} records from {file}, {n:0-3} torn
E cannot lock {path}: held by process {n:300-30000}
I bye, uptime {n:1-90} days
I stats: ops={wide:8} hits={wide:7} misses={wide:6} mem={psize} frag={dec:1-2}
D pubsub channel '{topic}' has {n:0-40} listeners
"""

RELAY = r"""
I {hex:10}: from=<{email}> size={wide:9} nrcpt={n:1-12} (queued)
I {hex:10}: to=<{email}>, relay={domain}[{ip}]:25, delay={dec:0-9}, status=sent
W {hex:10}: to=<{email}>, relay={domain}[{ip}]:25, delay={dec:0-900}, status=deferred ({why})
W {hex:10}: to=<{email}>, relay=none, delay={dec:0-900}, status=bounced (no such mailbox)
I {hex:10}: removed from queue
I {hex:10}: subject "{text}" matched rule {n:1-90}
I session opened by {domain}[{ip}]
I session closed by {domain}[{ip}] after {n:1-30} commands
W session of unknown[{ip}] broke off: {why}
I login of {user} from {ip} method {word:PLAIN|LOGIN|TOKEN}
W login of {user} from {ip} method {word:PLAIN|LOGIN|TOKEN} refused
W {ip} listed by {word:zen|spamlist|greybase|dnsbl}.{domain}, turned away
I greylisted {ip} <{email}> -> <{email}> for {n:60-900} s
I signature of {domain} good, selector {word:s1|s2|mail|k1}
W signature of {domain} bad, selector {word:s1|s2|mail|k1}: body changed
I sender policy of {domain}: {word:pass|softfail|fail|neutral} for {ip}
I {hex:10}: score {dec:0-15} of {dec:5-8} [{list:word/FREEMAIL|LINKS|BAYES_50|HTML_ONLY|NO_DATE~1-5~,}]
W {hex:10}: score {dec:8-30}, put in quarantine {path}
E {hex:10}: virus {word:Eicar.Test|Worm.Zeb|Trojan.Lima}-{n:1-90} in attachment "{file}"
I secure channel with {domain}[{ip}]: {word:v1.3|v1.2} {word:AES256|CHACHA20|AES128} ({n:128-256} bits)
W secure channel with {domain}[{ip}] not possible: {why}
I queue: {n:0-400} active, {n:0-90} deferred, {n:0-9} held, {size}
E queue folder {folder} is {n:91-100}% full
I alias {email} stands for {list:email~1-5~, }
I table {path} has changed, read again ({n:10-9000} entries)
W table {path}: line {n:1-900} has no value for "{user}"
I reload by {user}, version {ver}
W too many connections from {ip}: {n:20-90}
E lookup of {domain} took {n:5-60} s, {word:MX|A|TXT} not answered
I {hex:10}: delivered to mailbox {user}, folder {word:Inbox|Junk|Archive|Lists}
I {hex:10}: forwarded to <{email}> by filter of {user}
W {hex:10}: mailbox {user} over quota ({n:100-130}%)
I statistics: {wide:6} received, {wide:6} sent, {wide:3} refused in last {n:10-60} min
I fingerprint {list:hex/2~16-16~:} remembered for {domain}
"""

BROKER = r"""
I Partition {topic}-{n:0-31} led by node {n:1-7} in epoch {n:1-90}
I Partition {topic}-{n:0-31} followed by nodes [{list:n/1-7~1-3~, }] in epoch {n:1-90}
D Appended {n:1-500} messages to {topic}-{n:0-31} at offset {wide:13} in {ms} ms
D Fetch of {topic}-{n:0-31} from offset {wide:13} returned {psize} to client {group}-{n:1-9}
W Offset {wide:13} of {topic}-{n:0-31} is out of range [{wide:9}, {wide:14}]
I Rolled segment {n:100000-99999999} of {topic}-{n:0-31} after {dur}
I Deleted segment {n:100000-99999999} of {topic}-{n:0-31}: older than {n:1-30} days
I Deleted segment {n:100000-99999999} of {topic}-{n:0-31}: larger than {psize}
I Created topic {topic} with {n:1-32} partitions and {n:1-3} copies
I Deleted topic {topic}
I Group {group} now in state {word:Stable|Rebalancing|Empty|Dead}, generation {n:1-400}
I Member {group}-{uuid} joined group {group}
I Member {group}-{uuid} left group {group}
W Member {group}-{uuid} missed its heartbeat for {n:10-90} s
D Group {group} committed {topic}-{n:0-31}={wide:13}
W Replica {n:1-7} of {topic}-{n:0-31} fell behind by {wide:6} messages
I Replica {n:1-7} of {topic}-{n:0-31} caught up
E Replica {n:1-7} of {topic}-{n:0-31} unreachable at {ep}
E Disk {folder} failed, {n:1-90} partitions offline: {list:topic~1-5~, }
W Request from /{ep} refused: {word:message too large|unknown version|not authorised|throttled}
I Connection from /{ep} as {user} with cipher {word:none|AES_128|AES_256}
D Connection from /{ep} idle for {n:60-900} s, closing
W Producer {n:1000-90000} sent sequence {n:1-9000} after {n:1-9000}, dropped as duplicate
E Unexpected {class} while serving request {n:1-99999}
E {class}: {why}
I Quota for {user}: {n:1-90} MB/s in, {n:1-90} MB/s out
I Cleaner shrank {topic}-{n:0-31} from {size} to {size} ({dec:1-90}% kept)
D Cleaner found nothing to do in {ms} ms
I Controller is node {n:1-7}
W Controller moved from node {n:1-7} to node {n:1-7}
I Reassigning {topic}-{n:0-31}: [{list:n/1-7~1-3~, }] => [{list:n/1-7~1-3~, }]
I Transaction {id:tx-} committed, {n:1-12} partitions
W Transaction {id:tx-} aborted, {n:1-12} partitions
I Loaded {n:1-900} producer states from {path}
I Node {n:1-7} up, version {ver}, rack {word:a|b|c}
I Node {n:1-7} shutting down: {word:SIGTERM|operator|upgrade}
I Setting {word:retention|flush|copies|max-size} of {topic} changed from {n:1-900} to {n:1-900} by {user}
"""

FILES = r"""
I mount of {folder} by {host} ({ip}) {mode}
I unmount of {folder} by {host} ({ip})
W mount of {folder} by {host} ({ip}) denied
D open {path} {mode} uid={n:0-6000} -> fd {n:3-4000}
D close fd {n:3-4000}, {wide:8} bytes read, {wide:7} written
E open {path} {mode} uid={n:0-6000}: {why}
D lock {path} [{wide:7}+{wide:5}] by pid {n:300-30000}@{host}
D unlock {path} [{wide:7}+{wide:5}] by pid {n:300-30000}@{host}
W lock on {path} held {n:60-9000} s by pid {n:300-30000}@{host}
I rename {path} -> {path}
I remove {path} (links left: {n:0-3})
W quota: {user} at {n:90-99}% of {psize}
E quota: {user} over {psize}, write refused
I scrub of vol{n:0-9} {n:0-100}% done, {n:0-2} errors
I scrub of vol{n:0-9} finished in {n:1-30}h{n:0-59}m, {n:0-2} errors
E disk {word:sda|sdb|sdc|sdf|sdk} slot {n:0-23}: read error at sector {wide:14}
W disk {word:sda|sdb|sdc|sdf|sdk} slot {n:0-23}: {n:45-70} C
I disk {word:sda|sdb|sdc|sdf|sdk} slot {n:0-23}: spun up in {dec:2-9} s
I rebuild of vol{n:0-9} on spare {n:0-3}: {n:0-100}% at {n:20-300} MB/s
I snapshot vol{n:0-9}@{word:hourly|daily|weekly}-{n:20310101-20311231} taken
I snapshot vol{n:0-9}@{word:hourly|daily|weekly}-{n:20310101-20311231} dropped, {size} freed
W vol{n:0-9} {n:85-99}% full
I lease {hex:16} granted to {host} for {n:10-90}s
I lease {hex:16} renewed by {host} for {n:10-90}s
W lease {hex:16} of {host} ran out
E inode {n:1000-9999999} points to freed block {ptr}
I replayed {wide:4} journal entries in {dur}
D readdir {folder} {wide:4} names cookie={hex:16}
D getattr {path} mode={word:0644|0755|0600|0777} size={wide:9} mtime={when}
W client {host} speaks version {n:2-3}, {n:4-5} wanted
I export {folder} to {list:host~1-5~ } options {word:sync|async},{word:squash|nosquash}
I cache {psize} dirty, {psize} clean, {dec:50-99}% hits
W slow write to {path}: {ms} ms for {psize}
I acl of {path} set to {list:word/u::rwx|g::r-x|o::---|m::rw-~2-4~,} by {user}
I user {user} maps to uid {n:500-6000} gid {n:100-900}
W user {user} maps to nobody
E kernel gave {word:EIO|ENOSPC|ESTALE|EROFS} for {path}
"""

PAYMENTS = r"""
I msg="payment authorised" payment={id:pay_} amount={dec:1-900} currency={money} method={word:card|transfer|wallet}
I msg="payment captured" payment={id:pay_} amount={dec:1-900} currency={money} took={ms}ms
W msg="payment declined" payment={id:pay_} code={n:1-99} reason="{refusal}"
I msg="payment refunded" payment={id:pay_} amount={dec:1-900} currency={money} by={user}
I msg="refund requested" refund={id:re_} payment={id:pay_} note="{text}"
W msg="refund refused" refund={id:re_} payment={id:pay_} note="{text}"
I msg="webhook delivered" url={url} status={n:200-204} attempt={n:1-5}
W msg="webhook failed" url={url} error="{why}" attempt={n:1-5} next={dur}
E msg="webhook given up" url={url} attempts=5
D msg="idempotency key seen" key={uuid} age={dur}
I msg="customer created" customer={id:cus_} email={email} country={word:DE|FR|SE|US|JP|BR}
I msg="customer updated" customer={id:cus_} fields={list:word/email|name|address|phone|locale~1-4~,}
I msg="customer deleted" customer={id:cus_} by={user}
W msg="risk score high" payment={id:pay_} score={dec:0-1} rules=[{list:word/velocity|geo|device|bin|amount~1-4~ }]
I msg="risk score" payment={id:pay_} score={dec:0-1}
I msg="3ds challenge sent" payment={id:pay_} issuer="{bank}"
I msg="3ds challenge passed" payment={id:pay_} took={n:5-200}s
W msg="3ds challenge abandoned" payment={id:pay_} took={n:5-900}s
I msg="payout sent" payout={id:po_} bank="{bank}" amount={dec:1-90000} items={n:1-900}
E msg="payout returned" payout={id:po_} bank="{bank}" reason="{payee}"
I msg="rates refreshed" pairs={n:10-90} source={url} took={ms}ms
W msg="rates too old" age={n:1-90}m
E msg="acquirer unreachable" host={domain} error="{why}"
D msg="request" method={word:GET|POST|DELETE} path={route} status={n:200-422} dur={dur} ip={ip}
I msg="dispute opened" dispute={id:dp_} payment={id:pay_} deadline={when}
I msg="dispute won" dispute={id:dp_} payment={id:pay_}
I msg="dispute lost" dispute={id:dp_} payment={id:pay_}
I msg="ledger balanced" entries={wide:6} sum=0.00 took={ms}ms
E msg="ledger out of balance" entries={wide:6} difference={dec:0-9} account={n:1000-9999}
I msg="vault key rotated" key={id:key_} old={id:key_}
W msg="card expires soon" card=****{n:1000-9999} customer={id:cus_}
I msg="batch closed" batch={n:1-999} count={wide:5} total={dec:100-90000}
I msg="feature {word:instant-payout|new-risk|split-pay} set to {bool}" by={user}
D msg="cache refreshed" name={word:merchants|bins|rates} size={wide:6}
I msg="server started" version={ver} port={n:8000-9000} pid={n:1-900}
E msg="panic recovered" error="{word:nil map|index out of range|closed channel}" stack={ptr}
"""

MOBILE = r"""
D screen {word:Home|Inbox|Settings|Profile|Camera|Map} shown in {ms} ms
D screen {word:Home|Inbox|Settings|Profile|Camera|Map} left after {n:1-600} s
I sync started, reason {word:push|timer|manual|boot}
I sync done: {n:0-90} up, {n:0-400} down, {dur}
W sync stopped: {word:offline|battery low|signed out}
E sync failed with code {n:400-599} at {url}
D battery {n:1-100}% {word:charging|discharging|full} temp={dec:20-45}
D network changed wifi -> cell
D network changed cell -> wifi
D network changed wifi -> none
I push {id:msg-} received, topic={word:chat|news|promo}
D push {id:msg-} shown
D push {id:msg-} dismissed
I user {n:10000-99999} signed in with {word:password|passkey|code}
I user {n:10000-99999} signed out
W token expires in {n:1-300} s, refreshing
D token refreshed
E token refresh refused ({n:400-403})
D image {file} decoded {n:100-4000}x{n:100-4000} {psize}
W image {file} too large: {psize}
D db query '{word:select|insert|update|delete} {word:threads|people|drafts|media}' {ms} ms, {n:0-500} rows
W db query '{word:select|insert|update|delete} {word:threads|people|drafts|media}' slow: {n:100-3000} ms
I db migrated {n:1-20} => {n:2-21}
D gps fix lat={dec:0-90} lon={dec:0-180} acc={dec:1-60}m
W gps lost after {n:1-900} s
D steps today {n:0-20000}, goal {n:5000-12000}
D heart rate {n:45-180} bpm
E crash in {class}: {word:null view|bad state|empty index|closed stream} @{ptr}
W main thread blocked {n:200-5000} ms
I permission {word:location|camera|contacts|microphone} granted
I permission {word:location|camera|contacts|microphone} denied
D cache trimmed from {psize} to {psize}
I upload {uuid} {n:0-100}%
I upload {uuid} complete
E upload {uuid} broken off at {n:0-100}%: {why}
D bluetooth {mac} rssi=-{n:30-99}
I bluetooth {mac} paired as "{word:Band 4|Car Kit|Anna's Buds|Scale}"
I app {ver} ({n:100-999}) on {word:Pixelon 5|Nova 11|Tabula S} os {n:9-16}
D flag {word:dark_mode|new_feed|fast_start|beta_search} = {bool}
"""

FARM = r"""
I [{n:1-900}/{n:900-1400}] compiling {target}/{unit}.{word:cc|c}
I [{n:1-900}/{n:900-1400}] linking {target} ({psize})
I [{n:1-900}/{n:900-1400}] skipping {target}, nothing changed
W {place}: warning: variable '{word:count|tmp|it|buffer|ok}' is never read
W {place}: warning: comparison of signed '{word:int|long|short}' with unsigned
E {place}: error: no member '{word:size|next|push|name}' in '{word:Node|Buffer|Frame|Slot}'
I checkout of {hex:40} from {url}
I checkout done in {dec:0-40} s
I build #{n:1000-9999} of {target} started by {user} on {host}
I build #{n:1000-9999} of {target} passed in {n:0-50} min {n:0-59} s
E build #{n:1000-9999} of {target} failed in {n:0-50} min {n:0-59} s
W build #{n:1000-9999} of {target} aborted by {user}
D cache: fetched {hex:64} ({psize}) in {ms} ms
D cache: stored {hex:64} ({psize}) in {ms} ms
D cache: no entry for {hex:64}
I test {target}.{case} ok ({n:1-900} ms)
E test {target}.{case} FAILED ({n:1-900} ms)
I test {target}.{case} skipped: {word:slow|needs network|flaky}
E     expected {n:0-90}, got {n:0-90}
E     at {path}:{n:1-900}
I {n:10-900} tests, {n:0-9} failures, {n:0-20} skipped
I coverage {dec:40-99}% of {n:1000-90000} lines
I uploading {file} to {url}
W upload of {file} failed ({why}), retry {n:1-3}
I resolved {lib} {ver}
W {lib} {ver} is outdated, latest is {ver}
E no version of {lib} satisfies >={ver},<{ver}
I agent {host} online ({n:4-64} cores, {n:8-256} GB, labels: {list:word/linux|arm64|x64|gpu|large~1-4~ })
W agent {host} offline since {when}
I container {hex:12} from image {word:builder|tester|packer}:{ver}
I container {hex:12} stopped with code {n:0-137}
D env {word:CC|CFLAGS|TARGET|JOBS|PREFIX}={word:clang|-O2|release|16|/opt/out}
I step '{word:fetch|configure|compile|unit tests|package|publish}' took {dur}
I signing {file} with key {hex:16}
I artefact {file} sha={hex:64}
W disk of {host} has {size} left, removing {n:1-30} old workspaces
I waiting for {n:1-20} builds ahead in queue {word:default|nightly|release}
"""

SWITCH = r"""
I port {n:1-4}/{n:1-48} up, {word:1|10|25|100}G full duplex
W port {n:1-4}/{n:1-48} down
W port {n:1-4}/{n:1-48} errors: crc {n:1-900}, runts {n:0-40}, giants {n:0-9}
I port {n:1-4}/{n:1-48} added to vlan {n:2-4094}
I port {n:1-4}/{n:1-48} removed from vlan {n:2-4094}
D learned {mac} on port {n:1-4}/{n:1-48} vlan {n:2-4094}
D aged out {mac} on port {n:1-4}/{n:1-48} vlan {n:2-4094}
W {mac} moved from port {n:1-4}/{n:1-48} to {n:1-4}/{n:1-48} ({n:1-30} times in a minute)
W loop seen on port {n:1-4}/{n:1-48}, blocked for {n:30-300} s
I tree: port {n:1-4}/{n:1-48} now {word:forwarding|blocking|learning|listening}
W tree: new root {mac} priority {n:0-61440}, was {mac}
I neighbour {ip} full on vlan{n:2-4094}
W neighbour {ip} lost on vlan{n:2-4094}: {word:hold timer|link down|reset}
I neighbour {ip6} full on vlan{n:2-4094}
D route {ip}/{n:8-32} via {ip} metric {n:1-900} added
D route {ip}/{n:8-32} via {ip} metric {n:1-900} withdrawn
W route table at {n:80-99}% of {n:10000-90000}
I lease {ip} given to {mac} ({host}) for {n:600-86400} s
I lease {ip} given back by {mac}
W no lease left in pool {word:guests|phones|office|cameras} for {mac}
W fan {n:1-6} at {n:900-9000} rpm
E fan {n:1-6} stopped
W temperature of {word:cpu|asic|inlet|psu} {n:55-95} C
E power supply {n:1-2} failed
I power supply {n:1-2} ok, {n:80-600} W
I module {n:1-4} "{word:SR4|LR4|DAC|T}" serial {id:FX} inserted
I module {n:1-4} removed
I admin {user} logged in from {ip} over {word:ssh|web|console}
W admin {user} failed to log in from {ip} over {word:ssh|web|console}
I admin {user} ran 'show {word:ports|routes|vlans|version|log}'
I config saved by {user}
I config loaded from {url}
W storm on port {n:1-4}/{n:1-48}: {wide:9} {word:broadcast|multicast|unknown} packets/s
I storm on port {n:1-4}/{n:1-48} is over
W acl {n:100-199} dropped {word:tcp|udp|icmp} {ep} -> {ep} ({n:1-900} packets)
I time set by {ip}, offset {dec:0-90} ms, stratum {n:1-5}
E memory low: {n:1000-90000} KB free
I flash image {file} ({ver}) checked, sum {hex:32}
I group {n:224-239}.{n:0-9}.{n:0-255}.{n:1-254} joined on port {n:1-4}/{n:1-48}
"""

STATION = r"""
I Pass {n:1000-9999} of {craft} begins, max elevation {dec:5-89} deg
I Pass {n:1000-9999} of {craft} ends, {n:100-9000} frames, {n:0-40} lost
I Antenna to az {dec:0-360} el {dec:0-90}
D Tracking error {dec:0-1} deg, signal {dec:0-40} dB
W Signal of {craft} faded to {dec:0-6} dB
E Signal of {craft} lost at el {dec:0-90} deg
I Signal of {craft} found at {dec:2000-8500} MHz, doppler {n:100-90000} Hz
I Carrier locked in {n:1-40} s
D Frame {wide:11} vc={n:0-7} crc=ok
W Frame {wide:11} vc={n:0-7} crc=bad ({hex:4} != {hex:4})
I Command {word:PING|DUMP|RESET_WDT|SET_MODE|HEATER} #{n:1-9999} sent
I Command {word:PING|DUMP|RESET_WDT|SET_MODE|HEATER} #{n:1-9999} acknowledged after {n:300-4000} ms
E Command {word:PING|DUMP|RESET_WDT|SET_MODE|HEATER} #{n:1-9999} not acknowledged
D Telemetry {word:BAT_V|BAT_T|SUN_X|GYRO_Z|OBC_T} = {dec:0-50} {word:V|C|deg/s}
W Telemetry {word:BAT_V|BAT_T|SUN_X|GYRO_Z|OBC_T} = {dec:0-50} outside [{dec:0-10}, {dec:20-40}]
I Next pass over {city}: {when}, {n:3-14} minutes
I Elements of {craft} updated, epoch {dec:31090-31120}
W Elements of {craft} are {n:3-20} days old
W Wind {dec:8-30} m/s, gusts {dec:12-40} m/s
E Wind {dec:20-50} m/s: antenna stowed
I Antenna unstowed by {user}
I Recorder {n:1-3} writes {path}
I Recorder {n:1-3} closed {path}, {size}
W Recorder {n:1-3} has {n:1-12}% left
I File {file} sent to mission centre in {n:1-400} s
W File {file} not sent to mission centre: {why}
I Clock offset {n:1-900} ns, {n:4-14} navigation satellites
E Clock without reference for {n:1-90} min
I Amplifier on, {n:10-90} W forward, {dec:0-3} W reflected
I Amplifier off
E Amplifier tripped: {word:overheat|reflected power|interlock}
I Door of {word:hut|dome|rack room} open
I Door of {word:hut|dome|rack room} shut
I Operator {user} on duty
I Link to {city} {word:A|B}: {n:10-900} kbit/s, {n:20-700} ms
I Schedule {n:1-52}: {list:craft~2-6~ > }
I Calibration: noise {dec:40-90} K, gain {dec:30-60} dB, {n:1-8} sources
"""

AGENT = r"""
I Pulled image {word:shop|api|batch|proxy}/{svc}:{ver} in {dur}
E Could not pull image {word:shop|api|batch|proxy}/{svc}:{ver}: {why}
I Started container {svc} of pod {svc}-{hex:5} id={hex:12}
I Stopped container {svc} of pod {svc}-{hex:5} exit={n:0-143}
W Container {svc} of pod {svc}-{hex:5} restarted {n:2-90} times, waiting {dur}
I Pod {svc}-{hex:5} scheduled here by {word:default|batch} scheduler
I Pod {svc}-{hex:5} removed, grace {n:0-60}s
D Probe ok: pod {svc}-{hex:5} path={route} took={dur}
W Probe failed: pod {svc}-{hex:5} path={route} err="{why}"
D Usage cpu={n:0-4000}m mem={psize} pod={svc}-{hex:5}
W Memory of pod {svc}-{hex:5} at {n:90-100}% of limit {psize}
E Memory of node at {n:90-100}%, evicting pods [{list:svc~1-4~ }]
I Volume {uuid} attached at {folder}
I Volume {uuid} detached
E Volume {uuid} stuck for {dur}: {class} "{why}"
I Address {ip} assigned to pod {svc}-{hex:5}
I Address {ip} freed
I Secret "{svc}-{word:tls|db|token}" mounted, revision {n:1-90}
W Secret "{svc}-{word:tls|db|token}" missing
I Config map "{svc}-{word:env|rules|flags}" changed, keys: {list:word/host|port|level|limit|theme~1-5~, }
D Heartbeat to {ep} took {dur}
W Heartbeat to {ep} failed {n:1-9} times: {why}
I Registered node {host} labels=map[{list:word/zone:a|disk:ssd|gpu:none|tier:web~1-4~ }]
D Collected {n:0-40} dead containers, freed {size}
D Collected {n:0-40} unused images, freed {size}
I Node condition {word:Ready|DiskPressure|MemoryPressure} is {bool}
I Rule set for service {svc}: {n:1-90} chains, {n:1-900} rules
I Tunnel to {host} ({ip}) up, mtu {n:1280-9000}
W Tunnel to {host} ({ip}) down
I Exec in pod {svc}-{hex:5} by {user}: ["{word:sh|ls|cat|env}" {list:folder~0-2~ }]
I Logs of pod {svc}-{hex:5} read by {user}{maybe: (follow)}
W Clock differs by {dur} from {ep}
I Lease node/{host} renewed until {when}
E Runtime gone: dial {path}: {why}
I Certificate of node rotated, serial {hex:16}
I Upgrade from {ver} to {ver} begins
"""

LIBRARY = r"""
I {user} borrowed "{text}" until {when}
I {user} returned "{text}"
I {user} returned "{text}" late, {n:1-40} days, fee {dec:0-20} EUR
I {user} reserved "{text}", place {n:1-12} in line
W {user} blocked, open fees {dec:10-90} EUR
I {user} unblocked by {user}
I Scan of shelf {word:A|B|C|K|R}{n:1-90}: {n:10-90} books, {n:0-4} missing
W Scan of shelf {word:A|B|C|K|R}{n:1-90} not readable
I Item {n:100000-999999} moved from {word:stacks|desk|repair|display} to {word:stacks|desk|repair|display}
W Item {n:100000-999999} has no label
I Catalogue search '{list:word/history|birds|light|northern|garden|physics~1-4~ }' gave {n:0-900} hits in {ms} ms
I Catalogue search by author '{word:Lind|Moreno|Okafor|Sato}, {word:A.|B.|M. K.}' gave {n:0-90} hits in {ms} ms
I Catalogue search by number {n:978000-979999}-{n:100000-999999} gave {n:0-1} hits in {ms} ms
I Reminder sent to {email} ({n:1-5} items)
E Reminder to {email} not sent: {why}
I Imported {n:1-900} records from {file}, {n:0-30} skipped
E Record {n:1-900} of {file} has no {word:title|author|year|shelf}
I Gate {n:1-4} opened
W Gate {n:1-4} alarm, item {n:100000-999999}
I Printer {word:desk|hall|office} prints {n:1-30} pages for {user}
W Printer {word:desk|hall|office} out of {word:paper|toner}
I Card {hex:14} given to {user}
W Card {hex:14} unknown at gate {n:1-4}
I Payment of {dec:1-40} EUR by {user} ({word:cash|card})
I Room {word:Oak|Birch|Elm} booked by {user} from {n:8-18}:00 to {n:9-20}:00
I Room {word:Oak|Birch|Elm} freed
W Room {word:Oak|Birch|Elm} is taken at {n:8-18}:00
I Index rebuilt: {n:10000-90000} titles, {dur}
I Loan rules: {list:word/adult=28|child=14|staff=90|guest=7~1-4~; }
I Open
I Closed, {n:10-900} visitors
I Backup to {path} ({size}) verified
E Backup to {path} broken: {why}
"""

SYSTEMS: tuple[System, ...] = (
    System("web gateway", _gateway, ("router", "pool", "tls", "cache", "edge"), GATEWAY),
    System("job scheduler", _scheduler, ("dispatch", "nodes", "ctl"), SCHEDULER),
    System("key-value store", _store, ("kv/io", "kv/disk", "kv/cluster"), STORE),
    System("mail relay", _relay, ("relay/intake", "relay/send", "relay/policy"), RELAY),
    System("message broker", _broker, ("log.Partition", "group.Members", "net.Acceptor", "ctl.Controller"), BROKER),
    System("file server", _files, ("vfs", "export", "raid"), FILES),
    System("payment service", _payments, ("ledger", "gateway", "risk"), PAYMENTS),
    System("mobile app", _mobile, ("SyncEngine", "Ui", "Store", "Sensors"), MOBILE),
    System("build farm", _nothing, ("",), FARM, skew=1.0),
    System("network switch", _switch, ("linkd", "l2", "routing", "chassis"), SWITCH),
    System("satellite ground station", _station, ("ANT-1", "RX", "TLM", "OPS"), STATION),
    System("node agent", _agent, ("podworker", "volumes", "netplug", "status"), AGENT, skew=0.9),
    System("library desk", _library, ("loans", "catalogue", "building"), LIBRARY, skew=1.3),
)
