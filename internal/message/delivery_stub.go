package message
import "time"
type DeliveryKind uint8
const (DeliveryLink DeliveryKind = iota+1; DeliveryCode; DeliveryArrived; DeliveryNewCode; DeliveryAsked; DeliveryBlocked; DeliveryMissed; DeliveryReleased; DeliveryByPass; DeliveryOver)
type Delivery struct { Kind DeliveryKind; Letter string; Items string; Name string; From, Until time.Time; Zone *time.Location; Link string }
