import pytest

from tailrace.producer.connection import key_hash

# murmur2 of Kafka's Java client, from the test of its org.apache.kafka.common.utils.Utils.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA)
def test_keys_hash_as_in_the_java_client(key: bytes):
    assert key_hash(key) == JAVA[key] & 0x7FFFFFFF
