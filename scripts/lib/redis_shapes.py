"""The regional Redis of a cluster on this machine, in each of its shapes, with or without TLS.

`standalone`: one redis-server, REGION-redis. `sentinel`: REGION-redis-1, its replica REGION-redis-2,
and REGION-sentinel-1 to -3, that take a primary for dead after a second. `cluster`: REGION-redis-1 to
-3, a Redis Cluster of three primaries.
"""

import argparse
import shutil
import subprocess

from processes import (Interrupts, Problem, free_port, redis_answers, redis_info, wait_until)

LOOPBACK = "127.0.0.1"
SHAPES = ("standalone", "sentinel", "cluster")
GROUP = "meridian"  # What the sentinels call the primary.
SENTINELS, CLUSTER_SERVERS = 3, 3
PORT_TRIES = 8
CERTIFICATE_DAYS = 30


def shapes(text):
    """For argparse: a shape for all regions, or REGION=SHAPE,...; checked by shape_of_regions."""
    words = [word.rpartition("=") for word in text.split(",")]
    for region, _, shape in words:
        if shape not in SHAPES:
            raise argparse.ArgumentTypeError(f"{shape!r} is none of {', '.join(SHAPES)}")
    if len(words) > 1 and not all(region for region, _, _ in words):
        raise argparse.ArgumentTypeError(f"{text!r} is neither one shape nor REGION=SHAPE,...")
    return {region: shape for region, _, shape in words}


def shape_of_regions(said, regions):
    """{region: shape} for all regions, from what `shapes` made; a ValueError says why not."""
    for region in said:
        if region and region not in regions:
            raise ValueError(f"{region!r} is none of the regions {', '.join(regions)}")
    return {region: said.get(region, said.get("", "standalone")) for region in regions}


class Certificates:
    """An authority of our own, and a certificate of it for 127.0.0.1."""

    def __init__(self, folder):
        folder.mkdir()
        self.ca, self.certificate, self.key = (folder / name for name in
                                               ("ca.pem", "redis.pem", "redis.key"))
        ca_key, request = folder / "ca.key", folder / "redis.csr"
        extensions = folder / "redis.ext"
        extensions.write_text(f"subjectAltName=IP:{LOOPBACK}\n")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-keyout", ca_key, "-out", self.ca, "-days", CERTIFICATE_DAYS,
                      "-subj", "/CN=local-cluster")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", self.key, "-out", request, "-subj", "/CN=redis")
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key,
                      "-CAcreateserial", "-out", self.certificate, "-days", CERTIFICATE_DAYS,
                      "-extfile", extensions)

    @staticmethod
    def _openssl(*words):
        if shutil.which("openssl") is None:
            raise Problem("openssl is not installed: run scripts/setup")
        result = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
        if result.returncode:
            raise Problem(f"openssl {words[0]} failed: {result.stderr[-1000:]}")


class RedisShapes:
    """Starts the servers of a Cluster. Used while it comes up, not kept."""

    def __init__(self, cluster, options, deadline):
        self._cluster = cluster
        self._options = options
        self._deadline = deadline
        self._certificates = (Certificates(cluster.directory / "data" / "tls")
                              if options.redis_tls else None)
        self._program = shutil.which("redis-server")
        if self._program is None:
            raise Problem("redis-server is not installed: run scripts/setup")

    def start(self, region):
        getattr(self, "_start_" + self._options.redis[region])(region)

    def url(self, region, reached):
        """Of a region's Redis. `reached`: addresses of its servers -> of the proxies before them."""
        shape = self._options.redis[region]

        def address(name):
            return reached.get(self._address(name), self._address(name))

        if shape == "standalone":
            scheme = "rediss" if self._certificates else "redis"
            text = f"{scheme}://{address(f'{region}-redis')}"
            queries = []
        elif shape == "sentinel":
            sentinels = [address(f"{region}-sentinel-{i + 1}") for i in range(SENTINELS)]
            text = f"redis+sentinel://{','.join(sentinels)}/{GROUP}"
            queries = ["tls=true"]
        else:
            servers = [address(f"{region}-redis-{i + 1}") for i in range(CLUSTER_SERVERS)]
            text = f"redis+cluster://{','.join(servers)}"
            queries = ["tls=true"]
        queries = [*queries, f"ca={self._certificates.ca}"] if self._certificates else []
        if reached and shape != "standalone":  # Servers are announced where they are themselves.
            queries.append("nat=" + ",".join(f"{at}/{proxy}" for at, proxy in reached.items()))
        if self._options.redis_replica_reads and shape != "standalone":
            queries.append("replica_reads=true")
        return text + ("?" + "&".join(queries) if queries else "")

    def _start_standalone(self, region):
        self._server(region, f"{region}-redis")

    def _start_sentinel(self, region):
        primary = self._server(region, f"{region}-redis-1", "--repl-diskless-sync-delay", 0)
        host, port = self._address(primary.name).rsplit(":", 1)
        replica = self._server(region, f"{region}-redis-2", "--repl-diskless-sync-delay", 0,
                               "--replicaof", host, port)
        wait_until("following its primary", replica.process, self._deadline,
                   lambda: "master_link_status:up" in self._info(replica, "replication"))
        sentinels = [self._sentinel(region, f"{region}-sentinel-{i + 1}", host, port)
                     for i in range(SENTINELS)]
        for sentinel in sentinels:
            wait_until("finding the others", sentinel.process, self._deadline,
                       lambda s=sentinel: f"slaves=1,sentinels={SENTINELS}"
                       in self._info(s, "sentinel"))

    def _start_cluster(self, region):
        servers = [self._server(region, f"{region}-redis-{i + 1}", "--cluster-enabled", "yes",
                                "--cluster-announce-ip", LOOPBACK, "--cluster-port", free_port(),
                                "--cluster-node-timeout", 2000,
                                "--cluster-require-full-coverage", "no",
                                *(["--tls-cluster", "yes"] if self._certificates else []))
                   for i in range(CLUSTER_SERVERS)]
        program = shutil.which("redis-cli")
        if program is None:
            raise Problem("redis-cli is not installed: run scripts/setup")
        words = [program, "--cluster", "create", *[self._address(one.name) for one in servers],
                 "--cluster-replicas", "0", "--cluster-yes"]
        if self._certificates:
            words += ["--tls", "--cacert", str(self._certificates.ca)]
        with Interrupts.held():
            result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                    timeout=60)
        if result.returncode:
            raise Problem(f"the Redis Cluster of {region} could not be made: "
                          f"{result.stdout[-1000:]}{result.stderr[-1000:]}")

    def _address(self, name):
        return self._cluster.part(name).addresses["redis"]

    @staticmethod
    def _info(part, section):
        return redis_info(part.redis_port(), section, part.ca)

    def _server(self, region, name, *flags):
        folder = self._cluster.directory / "data" / name
        folder.mkdir()
        words = ["--bind", LOOPBACK, "--save", "", "--appendonly", "no", "--maxmemory",
                 self._options.redis_maxmemory, "--maxmemory-policy", "volatile-lfu", "--dir",
                 folder, *self._tls_words("--"), *flags]
        port_flag = "--tls-port" if self._certificates else "--port"
        return self._launch("redis", region, name,
                            lambda port: [self._program, port_flag, port, *words])

    def _sentinel(self, region, name, host, port):
        folder = self._cluster.directory / "data" / name
        folder.mkdir()
        file = folder / "sentinel.conf"  # Sentinel writes into it what it learns.

        def words(own_port):
            tls = self._tls_words("")
            lines = [f"{'tls-port' if tls else 'port'} {own_port}", f"bind {LOOPBACK}",
                     f"dir {folder}", *[f"{tls[i]} {tls[i + 1]}" for i in range(0, len(tls), 2)],
                     f"sentinel monitor {GROUP} {host} {port} {SENTINELS // 2 + 1}",
                     f"sentinel down-after-milliseconds {GROUP} 1000",
                     f"sentinel failover-timeout {GROUP} 5000"]
            file.write_text("\n".join(lines) + "\n")
            return [self._program, file, "--sentinel"]
        return self._launch("sentinel", region, name, words)

    def _tls_words(self, prefix):
        """Pairs of a setting and its value."""
        if self._certificates is None:
            return []
        return [prefix + "port", "0", prefix + "tls-cert-file", str(self._certificates.certificate),
                prefix + "tls-key-file", str(self._certificates.key), prefix + "tls-ca-cert-file",
                str(self._certificates.ca), prefix + "tls-auth-clients", "no",
                prefix + "tls-replication", "yes"]

    def _launch(self, kind, region, name, words):
        for attempt in range(PORT_TRIES):
            port = free_port()
            part = self._cluster.new_part(kind, region, name, words(port))
            part.addresses = {"redis": f"{LOOPBACK}:{port}"}
            part.ca = str(self._certificates.ca) if self._certificates else ""
            self._cluster.launch(part)
            try:
                wait_until("starting", part.process, self._deadline,
                           lambda: redis_answers(port, part.process.pid, part.ca))
                return part
            except Problem:
                # Somebody else took the port in between: another one.
                self._cluster.parts.remove(part)
                if attempt + 1 == PORT_TRIES or part.process.state() != "dead":
                    self._cluster.parts.append(part)
                    raise
        raise AssertionError("not reached")
