//! Golden bytes, hostile bytes, and round trips.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn limits() -> Limits {
    Limits::default()
}

/// Header with these counts, then `rest`.
fn raw(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(flags.to_be_bytes());
    counts.iter().for_each(|count| bytes.extend(count.to_be_bytes()));
    bytes.extend(rest);
    bytes
}

#[test]
fn a_qu_question_has_the_bytes_of_the_rfc() {
    let mut question = Question::new(name("_remoted._tcp.local"), Kind::Ptr);
    question.unicast = true;
    let query = Message { questions: vec![question], ..Message::default() };
    let mut expected = raw(0, [1, 0, 0, 0], b"\x08_remoted\x04_tcp\x05local\x00");
    // PTR, class IN with the QU bit. Source: RFC 6762 §18.12.
    expected.extend([0x00, 0x0c, 0x80, 0x01]);
    assert_eq!(encode(&query, &limits()).unwrap(), expected);
    assert_eq!(decode(&expected, &limits()).unwrap(), query);
}

#[test]
fn a_response_is_authoritative_and_never_compresses_srv_data() {
    let target = name("iPhone.local");
    let data = Data::Srv { priority: 0, weight: 0, port: 55109, target };
    let record = Record { name: name("ncm._remoted._tcp.local"), ttl: 120, flush: true, data };
    let response = Message { response: true, answers: vec![record], ..Message::default() };
    let mut expected = raw(0x8400, [0, 1, 0, 0], b"\x03ncm\x08_remoted\x04_tcp\x05local\x00");
    expected.extend([0x00, 0x21, 0x80, 0x01, 0, 0, 0, 120, 0, 20, 0, 0, 0, 0, 0xd7, 0x45]);
    // Source: RFC 6762 §18.14 and RFC 2782 (no compression of the target).
    expected.extend(b"\x06iPhone\x05local\x00");
    assert_eq!(encode(&response, &limits()).unwrap(), expected);
    assert_eq!(decode(&expected, &limits()).unwrap(), response);
}

#[test]
fn an_empty_txt_is_one_zero_byte() {
    let record = Record { name: name("a.local"), ttl: 1, flush: false, data: Data::Txt(Vec::new()) };
    let bytes = encode(&Message { answers: vec![record.clone()], ..Message::default() }, &limits()).unwrap();
    assert!(bytes.ends_with(&[0, 1, 0]), "length 1, then a zero byte: {bytes:02x?}");
    assert_eq!(decode(&bytes, &limits()).unwrap().answers, [record]);
}

#[test]
fn types_nobody_asked_for_are_skipped_not_fatal() {
    // An NSEC record (47) whose data makes no sense, an OPT record (41) with its odd class, then an address.
    let mut rest = b"\x01a\x05local\x00\x00\x2f\x80\x01\x00\x00\x00\x78\x00\x03\xff\xff\xff".to_vec();
    rest.extend(b"\x00\x00\x29\x05\xa0\x00\x00\x11\x94\x00\x02\x00\x00");
    rest.extend(b"\xc0\x0c\x00\x1c\x80\x01\x00\x00\x00\x78\x00\x10");
    rest.extend(Ipv6Addr::LOCALHOST.octets());
    let message = decode(&raw(0x8400, [0, 3, 0, 0], &rest), &limits()).unwrap();
    assert_eq!(message.skipped, 2);
    assert_eq!(message.answers.len(), 1);
    assert_eq!(message.answers[0].to_string(), "a.local 120 flush AAAA ::1");
}

#[test]
fn every_refusal_has_its_type() {
    let refuse = |bytes: &[u8]| decode(bytes, &limits()).unwrap_err();
    assert_eq!(refuse(&vec![0; 9001]), CodecError::TooLarge { limit: 9000, got: 9001 });
    assert_eq!(refuse(&raw(0x2800, [0; 4], &[])), CodecError::Opcode(5));
    assert_eq!(refuse(&raw(0x8403, [0; 4], &[])), CodecError::ResponseCode(3));
    let many = CodecError::TooMany { what: "questions", limit: 64, got: 65535 };
    assert_eq!(refuse(&raw(0, [0xffff, 0, 0, 0], &[])), many);
    let many = CodecError::TooMany { what: "records", limit: 512, got: 3 * 65535 };
    assert_eq!(refuse(&raw(0, [0, 0xffff, 0xffff, 0xffff], &[])), many);
    assert_eq!(refuse(&raw(0, [0; 4], &[1, 2])), CodecError::TrailingBytes { end: 12, extra: 2 });
    assert!(matches!(refuse(b"abc"), CodecError::Malformed { section: "header", .. }));
    assert!(matches!(
        refuse(&raw(0, [1, 0, 0, 0], b"\x01a")),
        CodecError::Malformed { section: "questions", offset: 12, .. }
    ));
    // An address record of three bytes, and one that ends after its owner.
    let short = b"\x00\x00\x1c\x00\x01\x00\x00\x00\x00\x00\x03abc";
    assert!(matches!(
        refuse(&raw(0x8400, [0, 1, 0, 0], short)),
        CodecError::Malformed { section: "answers", .. }
    ));
    assert!(matches!(
        refuse(&raw(0x8400, [0, 0, 0, 1], b"\x00\x00\x1c")),
        CodecError::Malformed { section: "additionals", .. }
    ));
}

#[test]
fn pointers_that_loop_or_lead_forward_are_refused() {
    for pointer in [[0xc0, 12], [0xc0, 14], [0xff, 0xff]] {
        let error =
            decode(&raw(0, [1, 0, 0, 0], &[&pointer[..], &[0, 12, 0, 1]].concat()), &limits()).unwrap_err();
        assert!(matches!(error, CodecError::Malformed { section: "questions", offset: 12, .. }), "{error}");
    }
    // Two labels that point at each other.
    let ring = b"\x01a\xc0\x10\x01b\xc0\x0c\x00\x0c\x00\x01";
    assert!(matches!(decode(&raw(0, [1, 0, 0, 0], ring), &limits()), Err(CodecError::Malformed { .. })));
}

#[test]
fn a_chain_of_pointers_as_long_as_the_message_ends() {
    // Each pointer leads to the one before it, in data of a type that is skipped (NULL); the second record's owner is the
    // last: 4,400 steps for one name.
    let mut rest = b"\x00\x00\x0a\x00\x01\x00\x00\x00\x00".to_vec();
    let data_at = 12 + rest.len() + 2;
    let mut data = b"\x01x\x00".to_vec();
    let mut last = u16::try_from(data_at).unwrap();
    while data_at + data.len() < 8900 {
        let here = data_at + data.len();
        data.extend((0xc000_u16 | last).to_be_bytes());
        last = u16::try_from(here).unwrap();
    }
    rest.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    rest.extend(data);
    rest.extend((0xc000_u16 | last).to_be_bytes());
    rest.extend([0, 28, 0, 1, 0, 0, 0, 0, 0, 16]);
    rest.extend([0; 16]);
    let start = std::time::Instant::now();
    let message = decode(&raw(0x8400, [0, 2, 0, 0], &rest), &limits()).unwrap();
    assert_eq!(message.answers[0].name, name("x"));
    assert!(start.elapsed().as_millis() < 500);
}

fn label() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..20)
}

fn any_name() -> impl Strategy<Value = Name> {
    prop::collection::vec(label(), 1..6)
        .prop_map(|labels| Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap())
}

fn any_data() -> impl Strategy<Value = Data> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Data::A(Ipv4Addr::from(octets))),
        any::<[u8; 16]>().prop_map(|octets| Data::Aaaa(Ipv6Addr::from(octets))),
        any_name().prop_map(Data::Ptr),
        (any::<(u16, u16, u16)>(), any_name()).prop_map(|((priority, weight, port), target)| Data::Srv {
            priority,
            weight,
            port,
            target
        }),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..5).prop_map(Data::Txt),
    ]
}

fn any_record() -> impl Strategy<Value = Record> {
    (any_name(), any::<u32>(), any::<bool>(), any_data()).prop_map(|(name, ttl, flush, data)| Record {
        name,
        ttl,
        flush,
        data,
    })
}

fn any_message() -> impl Strategy<Value = Message> {
    let question = (any_name(), any::<u16>(), any::<bool>()).prop_map(|(name, kind, unicast)| Question {
        name,
        kind: Kind::from(kind),
        unicast,
    });
    let records = || prop::collection::vec(any_record(), 0..6);
    let questions = prop::collection::vec(question, 0..6);
    (any::<(u16, bool, bool)>(), questions, records(), records(), records()).prop_map(
        |((id, response, truncated), questions, answers, authorities, additionals)| Message {
            id,
            response,
            truncated,
            questions,
            answers,
            authorities,
            additionals,
            skipped: 0,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode(&bytes, &limits());
    }

    #[test]
    fn random_bytes_after_a_plausible_header_never_panic(
        counts in any::<[u8; 4]>(),
        rest in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let _ = decode(&raw(0x8400, counts.map(|count| u16::from(count % 8)), &rest), &limits());
    }

    #[test]
    fn what_is_encoded_is_decoded_the_same(message in any_message()) {
        let bytes = encode(&message, &limits()).unwrap();
        prop_assert!(bytes.len() <= message.wire_len(), "{} > {}", bytes.len(), message.wire_len());
        let back = decode(&bytes, &limits()).unwrap();
        // Case may differ where names are compressed; nothing else.
        prop_assert_eq!(&back, &message);
        prop_assert_eq!(encode(&back, &limits()).unwrap(), bytes);
    }
}
