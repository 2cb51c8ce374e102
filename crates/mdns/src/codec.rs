//! Bytes ⇄ [`Message`], with hickory-proto reading and writing names and record data.
//!
//! hickory's own message reader reserves space for every question that a header announces and gives up on a record
//! of any type it doesn't like; here the counts are checked first and only the five types of DNS-SD are looked into.

use hickory_proto::{
    op::{Header, Message as HickoryMessage, MessageType, OpCode, Query},
    rr::{DNSClass, Name as HickoryName, RData, Record as HickoryRecord, RecordType, rdata},
    serialize::binary::{BinDecodable, BinDecoder, DecodeError, Restrict},
};

use crate::{
    error::CodecError,
    limits::Limits,
    message::{Data, Kind, Message, Question, Record},
    name::Name,
};

/// The top bit of a class: QU in questions, cache-flush in records. Source: RFC 6762 §18.12 and §18.13.
const TOP_BIT: u16 = 0x8000;
const CLASS_IN: u16 = 1;
const CLASS_ANY: u16 = 255;

/// Decodes one datagram.
///
/// # Errors
/// Too long, more entries than the limits, another operation or an error code, a malformed entry, trailing bytes.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Message, CodecError> {
    if bytes.len() > limits.message_bytes {
        return Err(CodecError::TooLarge { limit: limits.message_bytes, got: bytes.len() });
    }
    let mut reader = Reader { decoder: BinDecoder::new(bytes), section: "header", skipped: 0 };
    let header = reader.read(Header::read)?;
    check(&header, limits)?;
    let counts = header.counts;
    let mut message = Message {
        id: header.id,
        response: header.message_type == MessageType::Response,
        truncated: header.truncation,
        questions: reader.questions(counts.queries)?,
        answers: reader.records("answers", counts.answers)?,
        authorities: reader.records("authorities", counts.authorities)?,
        additionals: reader.records("additionals", counts.additionals)?,
        skipped: 0,
    };
    message.skipped = reader.skipped;
    match reader.decoder.len() {
        0 => Ok(message),
        extra => Err(CodecError::TrailingBytes { end: reader.decoder.index(), extra }),
    }
}

fn check(header: &Header, limits: &Limits) -> Result<(), CodecError> {
    if header.op_code != OpCode::Query {
        return Err(CodecError::Opcode(u8::from(header.op_code)));
    }
    if u16::from(header.response_code) != 0 {
        return Err(CodecError::ResponseCode(u16::from(header.response_code)));
    }
    let questions = usize::from(header.counts.queries);
    if questions > limits.questions {
        return Err(CodecError::TooMany { what: "questions", limit: limits.questions, got: questions });
    }
    let records = [header.counts.answers, header.counts.authorities, header.counts.additionals]
        .into_iter()
        .fold(0_usize, |sum, count| sum.saturating_add(usize::from(count)));
    if records > limits.records {
        return Err(CodecError::TooMany { what: "records", limit: limits.records, got: records });
    }
    Ok(())
}

struct Reader<'a> {
    decoder: BinDecoder<'a>,
    section: &'static str,
    skipped: usize,
}

impl<'a> Reader<'a> {
    fn read<T>(
        &mut self,
        what: impl FnOnce(&mut BinDecoder<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, CodecError> {
        let offset = self.decoder.index();
        what(&mut self.decoder).map_err(|error| CodecError::Malformed {
            section: self.section,
            offset,
            reason: error.to_string(),
        })
    }

    fn u16(&mut self) -> Result<u16, CodecError> {
        self.read(|decoder| Ok(decoder.read_u16()?.unverified()))
    }

    fn name(&mut self) -> Result<Name, CodecError> {
        let name = self.read(HickoryName::read)?;
        Ok(Name::from_labels(name.iter())?)
    }

    fn questions(&mut self, count: u16) -> Result<Vec<Question>, CodecError> {
        self.section = "questions";
        let mut questions = Vec::new();
        for _ in 0..count {
            let (name, kind, class) = (self.name()?, Kind::from(self.u16()?), self.u16()?);
            match class & !TOP_BIT {
                CLASS_IN | CLASS_ANY => {
                    questions.push(Question { name, kind, unicast: class & TOP_BIT != 0 });
                }
                _ => self.skipped = self.skipped.saturating_add(1),
            }
        }
        Ok(questions)
    }

    fn records(&mut self, section: &'static str, count: u16) -> Result<Vec<Record>, CodecError> {
        self.section = section;
        let mut records = Vec::new();
        for _ in 0..count {
            match self.record()? {
                Some(record) => records.push(record),
                None => self.skipped = self.skipped.saturating_add(1),
            }
        }
        Ok(records)
    }

    fn record(&mut self) -> Result<Option<Record>, CodecError> {
        let (name, number, class) = (self.name()?, self.u16()?, self.u16()?);
        let ttl = self.read(|decoder| Ok(decoder.read_u32()?.unverified()))?;
        let length = self.u16()?;
        let known = !matches!(Kind::from(number), Kind::Any | Kind::Other(_));
        if !known || class & !TOP_BIT != CLASS_IN {
            self.read(|decoder| decoder.read_slice(usize::from(length)))?;
            return Ok(None);
        }
        let kind = RecordType::from(number);
        let rdata = self.read(|decoder| RData::read(decoder, kind, Restrict::new(length)))?;
        let flush = class & TOP_BIT != 0;
        Ok(data_from(rdata)?.map(|data| Record { name, ttl, flush, data }))
    }
}

fn data_from(rdata: RData) -> Result<Option<Data>, CodecError> {
    Ok(Some(match rdata {
        RData::A(a) => Data::A(a.0),
        RData::AAAA(aaaa) => Data::Aaaa(aaaa.0),
        RData::PTR(ptr) => Data::Ptr(Name::from_labels(ptr.0.iter())?),
        RData::SRV(srv) => Data::Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: Name::from_labels(srv.target.iter())?,
        },
        // An empty string says nothing. Source: RFC 6763 §6.1.
        RData::TXT(txt) => {
            Data::Txt(txt.txt_data.iter().filter(|string| !string.is_empty()).map(|s| s.to_vec()).collect())
        }
        _ => return Ok(None),
    }))
}

/// Encodes a message, with name compression except in SRV data.
///
/// # Errors
/// A TXT string of more than 255 bytes, or a message above the limit.
pub fn encode(message: &Message, limits: &Limits) -> Result<Vec<u8>, CodecError> {
    let kind = if message.response { MessageType::Response } else { MessageType::Query };
    let mut out = HickoryMessage::new(message.id, kind, OpCode::Query);
    // Responses are authoritative. Source: RFC 6762 §18.4.
    out.metadata.authoritative = message.response;
    out.metadata.truncation = message.truncated;
    for question in &message.questions {
        let mut query =
            Query::query(hickory_name(&question.name)?, RecordType::from(u16::from(question.kind)));
        query.set_mdns_unicast_response(question.unicast);
        out.add_query(query);
    }
    out.answers = hickory_records(&message.answers)?;
    out.authorities = hickory_records(&message.authorities)?;
    out.additionals = hickory_records(&message.additionals)?;
    let bytes = out.to_vec().map_err(|error| CodecError::Encode(error.to_string()))?;
    if bytes.len() > limits.message_bytes {
        return Err(CodecError::TooLarge { limit: limits.message_bytes, got: bytes.len() });
    }
    Ok(bytes)
}

fn hickory_name(name: &Name) -> Result<HickoryName, CodecError> {
    HickoryName::from_labels(name.labels()).map_err(|error| CodecError::Encode(error.to_string()))
}

fn hickory_records(records: &[Record]) -> Result<Vec<HickoryRecord>, CodecError> {
    records.iter().map(hickory_record).collect()
}

fn hickory_record(record: &Record) -> Result<HickoryRecord, CodecError> {
    let rdata = match &record.data {
        Data::A(address) => RData::A(rdata::A(*address)),
        Data::Aaaa(address) => RData::AAAA(rdata::AAAA(*address)),
        Data::Ptr(name) => RData::PTR(rdata::PTR(hickory_name(name)?)),
        Data::Srv { priority, weight, port, target } => {
            RData::SRV(rdata::SRV::new(*priority, *weight, *port, hickory_name(target)?))
        }
        Data::Txt(strings) if strings.is_empty() => RData::TXT(rdata::TXT::from_bytes(vec![b""])),
        Data::Txt(strings) => RData::TXT(rdata::TXT::from_bytes(strings.iter().map(Vec::as_slice).collect())),
    };
    let mut out = HickoryRecord::from_rdata(hickory_name(&record.name)?, record.ttl, rdata);
    out.dns_class = DNSClass::IN;
    out.mdns_cache_flush = record.flush;
    Ok(out)
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
