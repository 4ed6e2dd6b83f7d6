// Why a layer cannot become an EROFS image, in the words of the unpacker: one line a code.
import * as abi from '../../core-asm/erofs/abi.ts';
import { GantryError } from '../errors.ts';

const reasons: Record<number, string> = {
  [abi.REFUSED_CUT_SHORT]: 'the archive is cut short',
  [abi.REFUSED_CHECKSUM]: "the archive is damaged: a header's checksum does not hold",
  [abi.REFUSED_NUMBER_MALFORMED]: 'a number in its header is malformed',
  [abi.REFUSED_NUMBER_TOO_LARGE]: 'a number in its header is too large',
  [abi.REFUSED_EXTRA_TOO_LONG]: 'its name or attributes are too long',
  [abi.REFUSED_ATTRIBUTES_MALFORMED]: 'its attributes are malformed',
  [abi.REFUSED_ATTRIBUTE_NUMBER]: 'a number in its attributes is malformed',
  [abi.REFUSED_NAME_TOO_LONG]: 'its name is too long',
  [abi.REFUSED_PART_TOO_LONG]: 'File name too long',
  [abi.REFUSED_LEADS_NOWHERE]: 'it is a link that leads nowhere',
  [abi.REFUSED_NOT_A_DIRECTORY]: 'Not a directory',
  [abi.REFUSED_LINK_LOOP]: 'Too many levels of symbolic links',
  [abi.REFUSED_LINK_MISSING]: 'it links to a file that is not in the layer',
  [abi.REFUSED_LINK_DIRECTORY]: 'it is a hard link to a directory',
  [abi.REFUSED_LINK_EMPTY]: 'it is a link to nothing',
  [abi.REFUSED_ROOT]: 'only a directory can be the root',
  [abi.REFUSED_WHITEOUT]: 'the whiteout names nothing',
  [abi.REFUSED_TYPE]: 'its type is unknown',
  [abi.REFUSED_SPARSE]: 'its map of holes is malformed',
  [abi.REFUSED_DEVICE]: 'its device number is too large',
  [abi.REFUSED_XATTR_TOO_LARGE]: 'its extended attributes are too many or too large',
  [abi.REFUSED_XATTR_VALUE]: 'an extended attribute of it is malformed',
  [abi.REFUSED_IMAGE_TOO_LARGE]: 'the layer is larger than 16 TB',
  [abi.REFUSED_TOO_MANY_ENTRIES]: 'its names need more memory than its image may take',
};

/** @param name of the entry that is refused, as the archive has it. */
export function erofsRefusal(code: number, name: string): GantryError {
  const reason = reasons[code];
  if (reason === undefined)
    return new GantryError('INTERNAL', `Cannot make the image of a layer: the core refused it with ${code}`);
  if (code === abi.REFUSED_TOO_MANY_ENTRIES)
    return new GantryError('TOO_LARGE', `Cannot unpack the layer: ${reason}`, {
      hint: 'The layer has about a million files; put them into several layers',
    });
  return new GantryError('INVALID_ARCHIVE', `Cannot unpack the layer: entry "${name.slice(0, 200)}": ${reason}`);
}
